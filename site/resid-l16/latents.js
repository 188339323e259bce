(self.saereport=self.saereport||[]).push({"kind":"latents","sae":"resid-l16","figures":{"density":{"base":"sae.density","v":{"n":"2,296","chosen":"18","median":"1.1 %"},"views":[{"data":[{"x0":-26,"dx":1,"y":[2,3,4,1,5,5,1,0,7,3,4,13,34,101,236,528,720,407,149,46,21,5,1]},{"x0":-26,"dx":1,"y":[0,0,0,0,0,0,0,0,0,0,0,0,0,2,6,7,1,0,0,0,0,1,1]}],"decades":5,"layout":{"xaxis":{"tickvals":[-25.5,-20.5,-15.5,-10.5,-5.5,-0.5],"ticktext":["0.001 %","0.01 %","0.1 %","1 %","10 %","100 %"]}}}]},"l0":{"base":"sae.l0","v":{"mean":"32.6"},"views":[{"data":[{"x0":8.5,"dx":18,"y":[16030,63882,40177,9263,655,28,4,1,0,0,0,0,3,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,0,0,0,0,0,0,1,0,0,0,0,0,1,0,1,0,0,0,1]}]}]}},"has_map":true
,"rows":[
[128,0.00609,49.76,"!F!K!G!H!O","97%f,z*M*,","millions and billions to come: \"$176 million\"","AUSOLMLMKKLIEAAA",-0.1003,0.02469],
[195,0.004137,53.93,"!DJ8iNRSBM!y","O6(J;EOrDLzYJeq","titles before a name: \"Mr.\", \"Dr.\", \"President\"","AURLHJJGIJGGACAA",0.1145,0.04137],
[464,0.00456,59.16,"!D${!B#3%6","KSALzYM/[NZZJmP","computing: web addresses, newsgroups, DEC","AUSNIHGAHCEFEACA",-0.1125,0.05781],
[630,0.009358,59.58,"72@GJg|!B1M","OEkM%EO=)M%4Oxi","\"in order to\", \"orders\"","AUSMGFGHECFADDFA",-0.04071,-0.106],
[717,0.003268,102,"(1!g!Y!WJ}m","Lr}NrsM]rLKtNd?","the abbreviation in brackets after a name: \"(SWAPO)\"","UTLHHHJHHIEADAAA",-0.04537,0.06893],
[1025,0.004206,50.03,"ACJ.sJ9wJ2YJ.)","L.qNVeJL%J$qM(U","months in dates","AUPLMNNNJKKJCAAA",-0.1274,0.06095],
[1064,0.009427,58.71,"+W%X({3h$t","KA1KZ/KtlL1|J(l","existence: \"there was\"","AUSNNNMLKKKKJHCA",0.1105,-0.1453],
[1214,0.00659,54.19,"-{99/60A%z","%z%B)DJA/KDx","\"as well as\", \"as rapidly as\"","AUTMHJFHIGGFGGAA",0.03378,-0.1465],
[1331,0.01549,61.14,"!B!5JPT!D!Q","J@kJETKF5N3qK0.","interjections: \"oh\", \"ah\", \"yeah\"","AUTQOMLJIGCEDFAE",0.0359,0.09258],
[1417,0.005521,76.52,"-1!D${!B%=","K*AN=mK:HNKbO02","\"not only\"","UUKHFEEEHCAAAAAA",0.01317,-0.07661],
[1501,0.156,49.51,"${%6%=!B%5","LL?NP|0#*WLJH","dense, no clear story","ATUTSRQQPOMIDAAA",-0.2579,0.3555],
[1504,0.005206,71.8,"!F!B!D!O!M","JQHLZ_J7r9SJ`u","the last noughts of thousands","USLKJKJJIAAAAAAA",0.184,-0.1251],
[1618,0.007536,45.79,"!B)5%=,3,`","N=-EUCrKvhJ0d","unreal conditions: \"If I'd\", \"were\"","AUTPMJIGACEEAAAA",-0.04751,-0.05769],
[1690,0.007167,51.38,"2n,8G^MEYJ,S",")BO[4L}|L6WKPP","\"let\", \"allow\", \"help\"","AUSOMIFCAJKIFAAA",0.1071,-0.09345],
[1835,0.008605,57.55,"%qFb52!B+z","Oi,OhGMg=OGuLh(","opinion: \"I think\", \"I trust\", \"I believe\"","AUTPOMIJHIEFCECA",0.1159,0.105],
[2115,0.2112,41.17,"!B!D%8${%6","NEYNPsOntMi`KjD","dense, no clear story","ASUTSQOMIECAAAAA",0.03771,-0.1376],
[2143,0.003214,48.16,"!E!D!C7m$:","OG8OBYM}/O%1Lxg","slashes and hyphens of addresses and paths","AURNLHEHAFEHDAAA",0.1641,0.003346],
[2298,0.007305,74.86,"4MJ}?6Q!B0x","MNTO49NIqJCxO3Y","end of direct speech","USNMLLKKIFAAAAAA",0.1192,0.05115]
]
});
