(self.saereport=self.saereport||[]).push({"kind":"latents","sae":"transcoder-l10","figures":{"density":{"base":"sae.density","v":{"n":"2,304","chosen":"10","median":"1.3 %"},"views":[{"data":[{"x0":-14,"dx":1,"y":[4,50,181,514,659,534,214,97,38,12,1]},{"x0":-14,"dx":1,"y":[0,1,6,2,0,0,0,0,0,0,1]}],"decades":5,"layout":{"xaxis":{"tickvals":[-10.5,-5.5,-0.5],"ticktext":["1 %","10 %","100 %"]}}}]},"l0":{"base":"sae.l0","v":{"mean":"40.1"},"views":[{"data":[{"x0":1,"dx":3,"y":[0,1,137,1328,3535,5713,6903,7443,7625,8287,8636,8839,9047,8880,8461,7681,6982,5946,4927,4058,3195,2708,2012,1516,1124,884,670,506,361,256,192,167,132,121,114,93,66,70,84,99,80,68,54,43,45,41,35,31,46,42,40,82,85,131,112,117,90,59,29,9,8,2]}]}]}},"has_map":true
,"rows":[
[213,0.006205,21.89,"//2+JJJ*`J%Y","NEULm0Kb7MHxOo]","concession: \"though\", \"while\", \"despite\"","TUPLLJLHIIEAAAAA",0.2043,0.03342,0,0],
[384,0.003291,16.23,"*,26043*EG","OdO?gM(ON[vA|","\"do\" for emphasis or negation","USPMNONJEAAAAAAA",0.07883,-0.007914,0,0.0203],
[839,0.005874,12.28,"J#)%6J/dNRSJ0Q","(g/FN.4Lle6p","kings","AUTPMJIGHEEFCAAA",0.1124,0.03257,0,0.0044],
[1074,0.004591,21.88,"?r52Fb3~6b","$NO2M8s*`Mv@","thinking and believing","UTPNMIJJGEFAAAAA",0.1594,0.008843,0,-0.0016],
[1318,0.005636,23.32,"-1*J.IJVz%=","Nn~Kn2MlGNo.Nx_","\"only\", \"but\", \"just\"","UTOPOICGACGFAAAA",0.05847,-0.02991,0,0.0017],
[1489,0.004491,23.68,"Km!Jez%yKHzL6y","NGOLdVM1wNUD-w","archaic second person: \"thou\", \"thee\", \"thy\"","UTMMKEHEGFIGAAAA",-0.005984,-0.02352,0,0],
[1590,0.2226,11.48,"%6%=!H!F%5","Lj}LA3LAIN:)JrO","dense, no clear story","ATUTRPNLIHCBAAAA",0.08341,-0.1131,0,0],
[1877,0.007136,20.57,"*J+]C,8GK!?","L2UNVxL=iK4}LOI","exception: \"except\", \"than\", \"beyond\"","UUPNLJIHGEEAAAAA",-0.09613,0.02338,0,0],
[2080,0.004806,26.18,"","J5OK6gMQkO+ANUD","","UTKMNMNOJFIMJDAA",0.07947,-0.003034,1,0],
[2217,0.006467,27.86,"$t*M/%.5?o","NyuO?MOA^(F4O","rates: \"per\", \"a year\", \"each\"","UUOKGFGFCFEEECAA",-0.1133,-0.06564,0,0.001]
]
});
