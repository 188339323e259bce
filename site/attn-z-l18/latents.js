(self.saereport=self.saereport||[]).push({"kind":"latents","sae":"attn-z-l18","figures":{"density":{"base":"sae.density","v":{"n":"1,523","chosen":"18","median":"0.45 %"},"views":[{"data":[{"x0":-26,"dx":1,"y":[25,25,32,54,66,54,45,58,45,49,52,62,82,83,95,109,118,165,134,96,53,14,4,3]},{"x0":-26,"dx":1,"y":[0,0,0,0,0,0,0,0,0,0,1,0,0,4,3,1,4,1,2,0,0,0,0,2]}],"decades":5,"layout":{"xaxis":{"tickvals":[-25.5,-20.5,-15.5,-10.5,-5.5,-0.5],"ticktext":["0.001 %","0.01 %","0.1 %","1 %","10 %","100 %"]}}}]},"l0":{"base":"sae.l0","v":{"mean":"23.6"},"views":[{"data":[{"x0":0.5,"dx":2,"y":[5,2094,4040,5017,5971,6699,7390,7874,8241,8524,8555,8443,7869,7275,6488,5775,4971,4074,3520,2983,2354,1935,1558,1284,1105,892,732,631,528,477,394,381,292,266,216,196,176,133,108,115,94,78,71,48,37,32,24,19,14,17,7,6,7,3,4,3,1,1,0,0,1]}]}]}},"has_map":true
,"rows":[
[19,0.004191,3.808,"!B+-!C*zJsS","M5++-!HJ9*%1","induction, at names after \"Mr.\"","ALURPNLLIGHFDFDE",-0.03497,0.02483],
[41,0.0113,5.699,"$:!B*z!C+-","LD;+KK%MC2N#7","induction, \"Stubb\"","NUROLJGDCAACAAAA",0.04816,0.04365],
[45,0.02853,5.645,"!B$:${%8!D","(e#X%r!B!D","induction, nearly every token of a repetition","NUSQOMKIGCACAAAA",-0.09356,0.009779],
[141,0.3167,2.895,"$:!D!C!B%6","KMvJ$zJS)O6(KHF","dense, no clear story","APUUTTSRQPOMAAAA",0.5491,0.009681],
[145,0.004629,2.141,"!B%8(%JrR${","MfCJ)5N#7KrLLxY","induction, commas","APUOMJIGCAAAAAAA",-0.2033,-0.1409],
[170,0.01028,3.962,"!B%8${%6!C","9~Ns08AJ+,,D","induction, in lists","AOUSPOMLKIIFFFAD",-0.1513,-0.02277],
[209,0.01543,3.847,"!B$:!C%8%6","MJv6jL2=LJY+r","induction, inside rare words","AOUSRPOMLJHGDAAC",-0.0426,-0.003083],
[286,0.003783,3.561,"M)h!B*z+-Juu","KYP.v(7%j1#","induction, in names of places","ANURPPNMKHKFDHDA",-0.03665,-0.06053],
[503,0.2719,2.885,"$:!D!C%6${","JY8L)=KMvJ$zM$j","dense, no clear story","APUUTTSRRPMDAAAA",0.5237,0.2791],
[545,0.006698,4.514,"*z!B*-+-!C","J5@M3B$yM*jOPo","induction, at names","MUQONLJFECAAAAAA",0.03037,-0.00957],
[682,0.002891,3.58,"!C!B#+M7_N6(","$u,{%5*)KYP","induction, commas and syllables","ANUSQNMLKHHADADA",-0.1181,-0.01275],
[759,0.01505,6.026,"!B$:!C%8${","OrD%rMbn$jN=-","induction, inside rare words","NUROMIHDCACCCAAA",-0.02213,0.03699],
[788,0.02639,5.458,"!B$:!D!F%8","$N!C(%!B(1","induction, nearly every token of a repetition, by head 6","NURPNKIECCDAAAAA",0.05762,-0.03833],
[899,0.004168,4.015,"!C!B+-%k#+","!C0|%+ND{Jc|","induction, in rare words","LURPMKHGCAAAAAAA",-0.04938,0.01072],
[1008,0.0223,6.693,"!F$N!G!B!C","!GO/CKW|#FNX!","induction, inside names and numbers","NURPNLJJIGHFEDAA",0.01705,0.00315],
[1328,0.000915,3.5,"!BJrR%8$:K(w","Ez6~(%%8LBC","induction, before \"and\" and commas of a list","AIUOMMHJFHAAAADA",-0.1364,-0.04591],
[1443,0.003706,3.552,"#+*zM7_J!L*-","K;CO(rLUVL~]JBt","induction, in names of places","AOUSRQOOMKIHHDDA",0.1089,-0.01479],
[1518,0.003122,3.365,"!C!B%8JsS*-","K`oOGI/i)$!e","induction, at names","AMUQPNKKKHHEADAA",0.05409,-0.01813]
]
});
