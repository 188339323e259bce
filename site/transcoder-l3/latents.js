(self.saereport=self.saereport||[]).push({"kind":"latents","sae":"transcoder-l3","figures":{"density":{"base":"sae.density","v":{"n":"2,304","chosen":"10","median":"1.4 %"},"views":[{"data":[{"x0":-14,"dx":1,"y":[3,9,77,480,865,587,177,51,35,15,4,1]},{"x0":-14,"dx":1,"y":[0,0,3,5,1,0,0,0,0,0,0,1]}],"decades":5,"layout":{"xaxis":{"tickvals":[-10.5,-5.5,-0.5],"ticktext":["1 %","10 %","100 %"]}}}]},"l0":{"base":"sae.l0","v":{"mean":"40.6"},"views":[{"data":[{"x0":1.5,"dx":4,"y":[3087,919,1870,3524,6458,9924,12638,13689,13777,12359,10202,7816,5981,4434,3543,2847,2316,1929,1627,1396,1195,1071,977,872,754,694,604,519,504,389,348,277,299,200,179,175,128,124,95,70,54,35,40,23,19,14,15,6,4,5,8,5,4,1,0,3,0,1,1]}]}]}},"has_map":true
,"rows":[
[162,0.007482,14.19,"%6%=%]0|#+",":pJ*OK`AM($J#2","\"hereto(fore)\", \"where(by)\": compounds of here and where","UUOJAFFCECAEAACA",0.1398,-0.005741,0,0],
[248,0.004652,10.22,":7O!mKa8J5:J1p","OMQJL%NVeJY8IN","fields","UTMHEAACGHCAAAAA",0.02497,-0.0666,0,0],
[457,0.008443,12.81,"!K!L!I!J!O","N`BM9MN~-D`J+n","decimals","UTMLKJJKNPNKGAAA",0.00829,-0.01873,0,0],
[501,0.006936,14.23,"ACJ2YJ.s(9J9w","NmJN%7MlQLC^MHm","day before month","UTOOPPLIFCEJKICA",-0.1064,0.03848,0,0],
[887,0.006851,10.7,"ACJ9w.WJ.sJ2Y","Oe%MBxDpMq^N;~","months in dates","UTPLMLMMMKIAAAAA",-0.003811,0.113,0,0],
[957,0.2646,7.848,"%N$N+-*;JV4","J$zJY8KB8KMvJS)","dense, no clear story","ASUUTTTSRQOMKIFE",-0.8676,-0.08671,0,0],
[998,0.01023,12.96,"HFJd9J:sK=!!~",",9!P!=7!1)","taxes","TUOLLCCFHKIGDAAA",0.1086,0.1585,0,-0.0025],
[1236,0.005729,11.34,"9mJdK!CJ%}J-I","OZ1K;oNf=NBbNZd","second word of a place name","UUOLKHCCACAEAAAA",-0.1404,-0.007076,0,0],
[1747,0.005598,12.55,"JZ)4rJ@)KL*9f","La*MRtKQWOG;2|","banks","UUOKECHHGFACGAAA",-0.06709,0.03291,0,0.0007],
[2046,0.009766,15.41,"-1.I0*)#E5","!C4I.7+6-1","\"not only\", \"just\"","UUQNNKHEAAECACGE",0.1178,0.1671,0,-0.037]
]
});
