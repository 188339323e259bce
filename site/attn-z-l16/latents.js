(self.saereport=self.saereport||[]).push({"kind":"latents","sae":"attn-z-l16","figures":{"density":{"base":"sae.density","v":{"n":"1,518","chosen":"17","median":"0.82 %"},"views":[{"data":[{"x0":-26,"dx":1,"y":[23,33,23,41,32,52,40,25,33,43,40,49,67,72,107,172,208,169,126,80,53,26,4]},{"x0":-26,"dx":1,"y":[0,0,0,0,0,0,0,0,0,0,0,1,2,2,2,4,3,0,0,0,1,0,2]}],"decades":5,"layout":{"xaxis":{"tickvals":[-25.5,-20.5,-15.5,-10.5,-5.5,-0.5],"ticktext":["0.001 %","0.01 %","0.1 %","1 %","10 %","100 %"]}}}]},"l0":{"base":"sae.l0","v":{"mean":"24.4"},"views":[{"data":[{"x0":0.5,"dx":2,"y":[0,0,887,708,1625,3173,5018,7162,9039,10741,11693,12336,12211,11238,10318,8715,7037,5441,3991,2961,1969,1394,856,619,364,212,123,78,55,42,17,12,4,3,0,4,2]}]}]}},"has_map":true
,"rows":[
[197,0.007251,3.178,"!G$N!F!H!O","(%J!2J,X+9,g","end of a range: \"2008 to 2010\"","AAURPOLKIIHGFAAA",-0.02722,-0.02552],
[298,0.01364,3.021,"!B$:%8!Q%=","%7$:)J(1E?","seasons in a climate","AAURPNMKJIGFCAAA",0.04129,-0.009964],
[310,0.002176,2.257,"!B%6!C${%8","L4pJ5:OsvLm4KZz","opening of a quotation inside a sentence","AAUPKHAADDAAAAAA",0.08033,-0.1178],
[391,0.1734,3.568,"!B%6!D%8%=","O7TJ$zJJWKx7Lay","dense, mostly head 0","AAUUTRQPNMKIGFCA",0.08299,0.03095],
[588,0.01056,3.208,"!B%8!52G!Q","O,_L+VKg8CO76","a word said twice: \"softly, softly\"","AAUROMKKHHFDCAAA",-0.1383,-0.02493],
[593,0.007182,4.655,"${%5!B%=$t","K9uN4YO6(NcZKdd","after \"especially\", \"particularly\"","AUOMLIHFECAAAAAA",-0.01523,0.03764],
[651,0.001461,2.775,"!D!C!E!B%8","+,O2MIIJ6CI_","dots in web addresses and sums","AAUNGIDDDAEDAAAA",-0.03549,-0.1187],
[653,0.006328,4.282,"${%6%8!D$t","K(YNIINEAMBUL}^","inside a title: \"Stranger in a Strange Land\"","AUOKHCECDAAAAAAA",0.01863,-0.1778],
[659,0.002376,2.177,"%6%8!C${!B","*bN9HN3!NzhKIm","\"Secretary of the Treasury\", \"Joint Chiefs of Staff\"","AAUOJGEFFAAAAAAA",-0.01981,-0.08939],
[701,0.2077,3.745,"${%6!C$:!B","K6gOBYJS)J$zL.q","dense, no clear story","AAUUTSRQPOMNNKMA",-0.2804,-0.1324],
[722,0.008174,2.981,"+%(15^)J$:","#Q$N%r%c(e","opening quotation mark","AAURPNJJHEADAAAA",-0.0676,0.06339],
[764,0.00546,1.574,"!B%6%=${$t","O_QL3MM;cJ6hMPj","the word in question: \"the third word\", \"where\", \"why\"","AAAAUTQNKHIAFAAA",0.08662,0.007647],
[796,0.01018,2.767,"!B%6%8${%5","!*NqNKF`Ks@M@Y","after \"each\", \"every\"","AAUQOMKIGDACAAAA",0.04057,-0.03852],
[881,0.003468,2.553,"${%6$t!B%=","JL%J8aK6gKHFM(U","after \"not only\"","AAUQLLHFCCCAAAAA",0.01912,-0.0523],
[1049,0.004183,2.363,"!H$N!G!OAC","M[zM)eMN)O@PK%L","day, then month, of a ratification","AAUPMHIGFCAAAAAA",-0.119,-0.03977],
[1274,0.003952,2.299,"%=J9S!B%y%d","%1JnZOJtJW0Kd]","\"urge the Congress to\"","AAUOJJHCCCAAAAAA",-0.2153,-0.07621],
[1489,0.08729,4.553,"!B!D%8${$:","+q%7*}!D%z","the token before this one occurred earlier (all of a repetition)","AUSQOMKIDCAAAAAA",0.04731,0.1035]
]
});
