(self.saereport=self.saereport||[]).push({"kind":"latents","sae":"resid-l10","figures":{"density":{"base":"sae.density","v":{"n":"2,304","chosen":"18","median":"1 %"},"views":[{"data":[{"x0":-22,"dx":1,"y":[2,0,0,1,0,1,0,2,23,102,317,638,585,363,169,69,25,6,1]},{"x0":-22,"dx":1,"y":[0,0,0,0,0,0,0,0,1,3,6,6,0,0,0,0,0,1,1]}],"decades":5,"layout":{"xaxis":{"tickvals":[-20.5,-15.5,-10.5,-5.5,-0.5],"ticktext":["0.01 %","0.1 %","1 %","10 %","100 %"]}}}]},"l0":{"base":"sae.l0","v":{"mean":"33.1"},"views":[{"data":[{"x0":1,"dx":3,"y":[0,440,6014,10767,12339,11012,9096,7526,6301,5462,4968,4795,4564,4686,4660,4585,4401,4056,3742,3382,3044,2621,2341,2034,1577,1311,1053,839,557,483,335,250,214,143,108,83,67,51,27,22,20,22,12,7,8,4,4,2,3,2,0,1,1,3,1,0,1,1]}]}]}},"has_map":true
,"rows":[
[47,0.005421,66.13,".5*M/%$t?o","J}UK#D8AN97)U","rates: \"per\", \"a year\", \"each\"","URLHGHAFCAAAAAAA",-0.2174,-0.0456],
[62,0.003729,58.78,"Mb!0xJ/G*XN(3","LWXJU:L1?M]PMHm","speech verbs after a quotation: \"cried\", \"whispered\", \"roared\"","AUNLMKHCCECGEGFA",-0.005699,-0.01148],
[138,0.002092,39.25,"!D7m!E!P!B","Jwe!*M.iNj_Lk0","inside web addresses","AUNJFDDFFGAAAAAA",-0.08084,0.1044],
[324,0.007789,70.96,"Km!KHz%E%3%y","LzYJUCNIlO2bKd-","archaic second person: \"thou\", \"thee\", \"thy\"","UOKIGDGHDAAAAAAA",-0.01338,-0.04079],
[331,0.006498,50.9,"=U/jJJ_A2J?V","OG8O2b$/OmDLE]","intensifiers: \"really\", \"truly\", \"pretty\"","AUPMIEGGFFFAEAAA",-0.01088,0.01503],
[398,0.006328,58.65,"J,aCC?[/mJ:e","M/EO4IKjDOY1OX;","reflexives: \"himself\", \"itself\"","AUNNLGHJKLJIGCCA",-0.05855,-0.1017],
[763,0.004798,37.37,"*,2604C3EG","NxqOczNG2OPzNUD","\"do\" for emphasis or negation","AUMNMMKKHFAAAAAA",-0.2012,0.07014],
[873,0.1538,36.3,"79K]6J.m8L-?","%8(%!B!E!C","dense, no clear story","AUTSQOMJECAAAAAA",0.5189,-0.0672],
[893,0.008097,50.49,"ACJ.sJ9wJ-bJ2Y","J:(Kb%NZ^M72L0t","months in dates","AUQLJIILNMJJHAAA",0.04927,-0.05573],
[971,0.00822,47.99,"JN`+LJ$rA7J3[","NUDNi;MrgM=qM:H","seeming and maybe: \"seem\", \"may\"","AUOJIGFGKIGFAAAA",-0.08931,0.05685],
[1092,0.004022,50.61,"J8@JP}J=7#*!~","LO:M?6MBUJhO*J","United Nations","AULFFACFFGCACAAA",0.0907,-0.05985],
[1195,0.006098,42.02,"JN`4{J$rJ=V=A","M6=MtxO.dKl#Nn+","appearance: \"seemed\", \"look\"","AUNMMMMIHFEAAAAA",-0.1476,-0.075],
[1524,0.003437,46.59,"!C!D!E!G!H","J4`JO~OfoMz+N;o","inside numbers with hyphens and slashes (ISBN, dates)","AUOMJCCCAFAEAAAA",-0.1054,0.1335],
[1580,0.1651,25.33,"!B!D%=%6!Q","M0cK(YN%TKf/L7k","dense, no clear story","AAUUTSQPMKGFDAAA",-0.07276,-0.1369],
[1827,0.003822,49.15,"//2+J%YAlJ(E","KP$KRdN=6K(b4.","concession: \"while\", \"though\", \"although\"","AUNNLLJKHFGFCAAA",-0.05438,0.1619],
[1897,0.004421,54.74,"+z%qFbJ=d/s",":h7C)rOZnL`5","knowing: \"I know\", \"knew\"","AUOMJIEFECCFFCAA",0.03273,0.05413],
[2206,0.00862,64.95,",g4PJ-I(CJ7v","(CEU-w*]G{","superlatives","UQNLOOKCCAAAAAAA",0.116,0.02875],
[2250,0.005744,48.68,"*JC,+]%68G","NOrJh!1dO/{J{d","exception: \"but\", \"except\"","AUPLJICDEGECCAAA",-0.0137,-0.004667]
]
});
