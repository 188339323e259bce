(self.saereport=self.saereport||[]).push({"kind":"latents","sae":"attn-z-l18","figures":{"density":{"base":"sae.density","v":{"n":"1,523","chosen":"10","median":"0.45 %"},"views":[{"data":[{"x0":-26,"dx":1,"y":[25,25,32,54,66,54,45,58,45,49,52,62,82,83,95,109,118,165,134,96,53,14,4,3]},{"x0":-26,"dx":1,"y":[0,0,0,0,0,0,0,0,0,0,1,0,0,1,3,0,1,0,2,1,0,0,0,1]}],"decades":5,"layout":{"xaxis":{"tickvals":[-25.5,-20.5,-15.5,-10.5,-5.5,-0.5],"ticktext":["0.001 %","0.01 %","0.1 %","1 %","10 %","100 %"]}}}]},"l0":{"base":"sae.l0","v":{"mean":"23.6"},"views":[{"data":[{"x0":0.5,"dx":2,"y":[5,2094,4040,5017,5971,6699,7390,7874,8241,8524,8555,8444,7868,7275,6487,5776,4971,4075,3519,2983,2354,1935,1557,1285,1105,892,732,631,528,477,394,381,292,266,216,196,176,133,108,115,94,78,71,48,37,32,24,19,14,17,7,6,7,3,4,3,1,1,0,0,1]}]}]}},"has_map":true
,"rows":[
[19,0.004191,3.808,"!B+-!C*zJsS","M5++-!HJ9*%1","induction, at names after \"Mr.\"","ALURPNLLIGHFDFDE",-0.03497,0.02483,0,0.0002],
[45,0.02853,5.644,"!B$:${%8!D","(e#X%r!B!D","induction, nearly every token of a repetition","NUSQOMKIGCACAAAA",-0.09356,0.009779,0,0.0308],
[145,0.004629,2.141,"!B%8(%JrR${","MfCJ)5N#7KrLLxY","induction, commas","APUOMJIGCAAAAAAA",-0.2033,-0.1409,0,0],
[170,0.01028,3.962,"!B%8${%6!C","9~Ns08AJ+,,D","induction, in lists","AOUSPOMLKIIFFFAD",-0.1513,-0.02277,0,0],
[286,0.003783,3.561,"M)h!B*z+-Juu","KYP.v(7%j1#","induction, in names of places","ANURPPNMKHKFDHDA",-0.03665,-0.06053,0,0.0002],
[503,0.2719,2.884,"$:!D!C%6${","JY8L)=KMvJ$zM$j","dense, no clear story","APUUTTSRRPMDAAAA",0.5237,0.2791,0,0],
[788,0.02639,5.458,"!B$:!D!F%8","$N!C(%!B(1","induction, nearly every token of a repetition, by head 6","NURPNKIECCDAAAAA",0.05762,-0.03833,0,-0.0061],
[899,0.004168,4.014,"!C!B+-%k#+","!C0|%+ND{Jc|","induction, in rare words","LURPMKHGCAAAAAAA",-0.04938,0.01072,0,0.0048],
[1032,0.05441,2.872,"!B$:!D%8${","!C%R%1(1$N","a piece that was said just before: \"feetch feetch\"","AQUROLIGDCDCAAAA",-0.1154,-0.07439,0,0.0018],
[1328,0.000915,3.5,"!BJrR%8$:K(w","Ez6~(%%8LBC","induction, before \"and\" and commas of a list","AIUOMMHJFHAAAADA",-0.1364,-0.04591,0,0.0045]
]
});
