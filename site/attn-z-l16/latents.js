(self.saereport=self.saereport||[]).push({"kind":"latents","sae":"attn-z-l16","figures":{"density":{"base":"sae.density","v":{"n":"1,518","chosen":"10","median":"0.82 %"},"views":[{"data":[{"x0":-26,"dx":1,"y":[23,33,23,41,32,52,40,25,33,43,40,49,67,72,107,172,208,169,126,80,53,26,4]},{"x0":-26,"dx":1,"y":[0,0,0,0,0,0,0,0,0,0,0,0,0,1,1,3,2,0,0,0,2,0,1]}],"decades":5,"layout":{"xaxis":{"tickvals":[-25.5,-20.5,-15.5,-10.5,-5.5,-0.5],"ticktext":["0.001 %","0.01 %","0.1 %","1 %","10 %","100 %"]}}}]},"l0":{"base":"sae.l0","v":{"mean":"24.4"},"views":[{"data":[{"x0":0.5,"dx":2,"y":[0,0,887,708,1625,3173,5019,7161,9039,10741,11693,12335,12212,11238,10318,8716,7036,5441,3991,2961,1969,1394,856,619,364,212,124,77,55,42,17,12,4,3,0,4,2]}]}]}},"has_map":true
,"rows":[
[197,0.007251,3.178,"!G$N!F!H!O","(%J!2J,X+9,g","end of a range: \"2008 to 2010\"","AAURPOLKIIHGFAAA",-0.02722,-0.02552,0,0.0017],
[298,0.01364,3.021,"!B$:%8!Q%=","%7$:)J(1E?","seasons in a climate","AAURPNMKJIGFCAAA",0.04129,-0.009964,0,0.0071],
[305,0.003952,1.349,"!D!B%X$:%8","97LUDJZP1h3Z","dense on random tokens, no clear story on text","AAAAUSOICACAAAAA",-0.05959,-0.05334,0,0.0004],
[391,0.1734,3.568,"!B%6!D%8%=","O7TJ$zJJWKx7Lay","dense, mostly head 0","AAUUTRQPNMKIGFCA",0.08299,0.03095,0,0],
[588,0.01056,3.208,"!B%8!52G!Q","O,_L+VKg8CO76","a word said twice: \"softly, softly\"","AAUROMKKHHFDCAAA",-0.1383,-0.02493,0,0],
[653,0.006328,4.282,"${%6%8!D$t","K(YNIINEAMBUL}^","inside a title: \"Stranger in a Strange Land\"","AUOKHCECDAAAAAAA",0.01863,-0.1778,0,0],
[722,0.008174,2.981,"+%(15^)J$:","#Q$N%r%c(e","opening quotation mark","AAURPNJJHEADAAAA",-0.0676,0.06339,0,0.0136],
[1049,0.004183,2.363,"!H$N!G!OAC","M[zM)eMN)O@PK%L","day, then month, of a ratification","AAUPMHIGFCAAAAAA",-0.119,-0.03977,0,0],
[1334,0.07152,2.954,"!B!D%8!C!F","0}(%KYP%sLWs","inside rare words and codes","AAUTRPOMJFEDAAAA",0.04711,-0.1461,0,0.013],
[1489,0.08729,4.553,"!B!D%8${$:","+q%7*}!D%z","the token before this one occurred earlier (all of a repetition)","AUSQOMKIDCAAAAAA",0.04731,0.1035,0,-0.0088]
]
});
