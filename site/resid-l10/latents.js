(self.saereport=self.saereport||[]).push({"kind":"latents","sae":"resid-l10","figures":{"density":{"base":"sae.density","v":{"n":"2,304","chosen":"10","median":"1 %"},"views":[{"data":[{"x0":-22,"dx":1,"y":[2,0,0,1,0,1,0,2,23,102,317,638,585,363,169,69,25,6,1]},{"x0":-22,"dx":1,"y":[0,0,0,0,0,0,0,0,0,0,1,5,0,3,0,0,0,1,0]}],"decades":5,"layout":{"xaxis":{"tickvals":[-20.5,-15.5,-10.5,-5.5,-0.5],"ticktext":["0.01 %","0.1 %","1 %","10 %","100 %"]}}}]},"l0":{"base":"sae.l0","v":{"mean":"33.1"},"views":[{"data":[{"x0":1,"dx":3,"y":[0,440,6014,10767,12339,11012,9096,7526,6301,5462,4968,4795,4563,4687,4660,4585,4401,4056,3741,3383,3044,2621,2341,2034,1577,1311,1053,839,557,483,335,249,215,143,108,83,67,51,27,22,20,22,12,7,8,4,4,2,3,2,0,1,1,3,1,0,1,1]}]}]}},"has_map":true
,"rows":[
[47,0.005421,66.13,".5*M/%$t?o","J}UK#D8AN97)U","rates: \"per\", \"a year\", \"each\"","URLHGHAFCAAAAAAA",-0.2174,-0.0456,0,0.0001],
[324,0.007789,70.96,"Km!KHz%E%3%y","LzYJUCNIlO2bKd-","archaic second person: \"thou\", \"thee\", \"thy\"","UOKIGDGHDAAAAAAA",-0.01338,-0.04079,0,0],
[331,0.006498,50.9,"=U/jJJ_A2J?V","OG8O2b$/OmDLE]","intensifiers: \"really\", \"truly\", \"pretty\"","AUPMIEGGFFFAEAAA",-0.01088,0.01503,0,0],
[641,0.01712,39.14,"8LJ?gKQt8CJ.m","JMBNEAH%J-U+N","cities: \"city\", \"urban\"","AUROMIFEACAAAAAA",0.1597,-0.00918,0,-0.0003],
[776,0.01732,33.95,"J/N%}KBEO)MMEY","N]:N%TMt=L6X:,","names from books, legend and film: \"Troilus\", \"Trek\", \"Pequod\"","AUPMGIEACAAAAAAA",0.05136,-0.01072,0,0],
[873,0.1538,36.3,"79K]6J.m8L-?","%8(%!B!E!C","dense, no clear story","AUTSQOMJECAAAAAA",0.5189,-0.0672,0,0.0185],
[893,0.008097,50.49,"ACJ.sJ9wJ-bJ2Y","J:(Kb%NZ^M72L0t","months in dates","AUQLJIILNMJJHAAA",0.04927,-0.05573,0,0],
[1342,0.02192,31.54,"J%!J4p%3JGE!F","KkzMVJOXjNZZL+z","French: \"French\", \"France\"","AAUSQNLIHFCAEHID",0.04404,-0.1228,0,0],
[2107,0.008574,32.43,"%6!DNf$!t%5","K-JJdWN-WOKpJ+3","\"of\" before the name of a place: \"the island of Timor\"","AUOLKJHHCAAAAAAA",0.01433,-0.01749,0,0.0006],
[2206,0.00862,64.94,",g4PJ-I(CJ7v","(CEU-w*]G{","superlatives","UQNLOOKCCAAAAAAA",0.116,0.02875,0,0.0062]
]
});
