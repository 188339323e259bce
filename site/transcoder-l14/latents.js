(self.saereport=self.saereport||[]).push({"kind":"latents","sae":"transcoder-l14","figures":{"density":{"base":"sae.density","v":{"n":"2,304","chosen":"10","median":"1.3 %"},"views":[{"data":[{"x0":-18,"dx":1,"y":[1,0,1,10,33,109,241,462,573,472,255,101,31,10,1,4]},{"x0":-18,"dx":1,"y":[0,0,0,0,0,0,4,4,1,0,0,0,0,0,0,1]}],"decades":5,"layout":{"xaxis":{"tickvals":[-15.5,-10.5,-5.5,-0.5],"ticktext":["0.1 %","1 %","10 %","100 %"]}}}]},"l0":{"base":"sae.l0","v":{"mean":"39.6"},"views":[{"data":[{"x0":1,"dx":3,"y":[17,21,9,4,79,394,1274,2978,5971,9656,13249,15437,15887,15072,13005,10594,8082,5753,4082,2747,1930,1311,856,561,358,218,165,110,56,50,32,27,20,11,12,4,4,2,1,4,0,2,1,0,2]}]}]}},"has_map":true
,"rows":[
[10,0.006059,12.94,"//2+%6JJJ${","N8EOWYKIaLbgO8*","\"while\", \"though\", \"despite\"","AUTPMJIKIHFEFAAA",0.04966,0.05549,0,0],
[235,0.005329,17.43,")5,3!B,`*g","M%]LW_M8BL]GLhA","unreal conditions: \"if I'd lived\", \"would ... were\"","UTOKGFCACAAAAAAA",-0.1189,-0.02432,0,0],
[431,0.006721,14.77,"#+!xL9L!B##","N!`OH!OEkNx.M|u","French and Latin words","AUUQOMLHJGCEAACA",-0.04747,-0.0658,0,0],
[973,0.009135,15.61,"!O!G!F!N!L","O77Ok#Kb8O;SK@(","decades in years","AUTQOOPPPPPMNKIF",-0.05956,-0.02424,0,0.0003],
[1136,0.3176,13.03,"%6!B%=%5%8","OrD!*J$zKMvO6(","dense, no clear story","ASUTTSRPOMKGABAA",-0.8183,-0.03568,0,0],
[1216,0.005621,16.65,"*M$t%5${/%",")F5gJME(EJ%u","rates: \"per\", \"each\"","UTNFIFHFCAAAAAAA",0.09,0.01209,0,0],
[1351,0.01164,18.21,"(1!B%6!C%8","O?_Mp.#QLPaJal","the bracket that opens an abbreviation","UUQNLJHGCCAAAAAA",-0.08084,0.02409,0,0],
[1406,0.008797,13.27,"!B%8!5JL=*c","JS)KMvJ9)K)mM:G","a word said again: \"softly, softly\"","AUUQNMLKJHGFHCAA",-0.2846,0.05823,0,0],
[1477,0.006867,16.97,"!C%8!B%6!G","KMNOE,O;W:oNv]","numbers in words","UUOIHGEFEAAAAAAA",0.01812,-0.122,0,0],
[1799,0.004198,13.05,"%yJezKm!KHzL6y","Nh[KHFL4=My7L4J","second person, archaic and not","AUSPNNJKHGAIFDAA",-0.1121,0.03052,0,0]
]
});
