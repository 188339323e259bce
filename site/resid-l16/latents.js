(self.saereport=self.saereport||[]).push({"kind":"latents","sae":"resid-l16","figures":{"density":{"base":"sae.density","v":{"n":"2,296","chosen":"10","median":"1.1 %"},"views":[{"data":[{"x0":-26,"dx":1,"y":[2,3,4,1,5,5,1,0,7,3,4,13,34,101,236,528,720,407,149,46,21,5,1]},{"x0":-26,"dx":1,"y":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,4,1,3,1,0,0,0,1,0]}],"decades":5,"layout":{"xaxis":{"tickvals":[-25.5,-20.5,-15.5,-10.5,-5.5,-0.5],"ticktext":["0.001 %","0.01 %","0.1 %","1 %","10 %","100 %"]}}}]},"l0":{"base":"sae.l0","v":{"mean":"32.6"},"views":[{"data":[{"x0":8.5,"dx":18,"y":[16030,63882,40177,9263,655,28,4,1,0,0,0,0,3,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,0,0,0,0,0,0,1,0,0,0,0,0,1,0,1,0,0,0,1]}]}]}},"has_map":true
,"rows":[
[128,0.00609,49.76,"!F!K!G!H!O","97%f,z*M*,","millions and billions to come: \"$176 million\"","AUSOLMLMKKLIEAAA",-0.1003,0.02469,0,0.1787],
[195,0.004137,53.93,"!DJ8iNRSBM!y","O6(J;EOrDLzYJeq","titles before a name: \"Mr.\", \"Dr.\", \"President\"","AURLHJJGIJGGACAA",0.1144,0.04137,0,0],
[561,0.01246,37.82,"8L%6J?g7+;Y","MNT2C(1%8K6[","towns","AUSPOJDEFCAAAAAA",-0.1216,0.07167,0,0.0322],
[777,0.01016,50.9,"%68K${%5(1","K(HLAiKwfOrcLP.","\"of\" before the name of a country: \"the Republic of Moldova\"","AUTPMKJIGHCCDAAA",-0.01919,0.008607,0,0],
[1025,0.004206,50.03,"ACJ.sJ9wJ2YJ.)","L.qNVeJL%J$qM(U","months in dates","AUPLMNNNJKKJCAAA",-0.1274,0.06095,0,0],
[1139,0.009051,36.21,"J%!JGEJ1E$:+%","MrVJc8OP8L{}0e","large cities: \"Moscow\", \"Istanbul\", \"Denver\"","AUTOLJHFECAAAAAA",-0.191,0.2322,0,0],
[1331,0.01549,61.14,"!B!5JPT!D!Q","J@kJETKF5N3qK0.","interjections: \"oh\", \"ah\", \"yeah\"","AUTQOMLJIGCEDFAE",0.0359,0.09258,0,0],
[1417,0.005521,76.52,"-1!D${!B%=","K*AN=mK:HNKbO02","\"not only\"","UUKHFEEEHCAAAAAA",0.01317,-0.07661,0,0],
[1501,0.156,49.51,"${%6%=!B%5","LL?NP|0#*WLJH","dense, no clear story","ATUTSRQQPOMIDAAA",-0.2579,0.3555,0,0],
[1887,0.02023,43.26,"J%!!D!C%3J4p","L)=MlSJ)5OXjOlt","French words and names: \"nom de\", \"Guadeloupe\", \"Banc du Geyser\"","AUUQNKJKHGDAAAAA",0.00154,-0.06873,0,0.0003]
]
});
