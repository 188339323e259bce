(self.saereport=self.saereport||[]).push({"kind":"latents","sae":"synthetic-l3-residual","figures":{"density":{"base":"sae.density","v":{"n":"6","chosen":"2","median":"4.5 %"},"views":[{"data":[{"x0":-9,"dx":1,"y":[3,0,2,1]},{"x0":-9,"dx":1,"y":[2,0,0,0]}],"decades":5,"layout":{"xaxis":{"tickvals":[-5.5],"ticktext":["10 %"]}}}]},"l0":{"base":"sae.l0","v":{"mean":"18.2"},"views":[{"data":[{"x0":0.5,"dx":2,"y":[15,36,77,148,257,404,573,736,856,900,856,736,573,404,257,148,77,36,15,6,2,0,0,0]}]}]}},"has_map":true
,"rows":[
[0,0,0,"#z#G","#a%.","words about water and land","AAAAAAAAAAAAAAAA",-0.2585,0.02036],
[4,0.02273,13.64,"%8!B","%!!8","the verb in a question","AAAAAAAAAAAAAAAA",-0.09436,0.3466],
[10,0.02273,16.97,"%)#$","#s$q","numbers and years","AAAAAAAAAAAAAAAA",0.2756,-0.1181]
]
});
