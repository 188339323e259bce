(self.saereport=self.saereport||[]).push({"kind":"latents","sae":"synthetic-l3-residual","figures":{"density":{"base":"sae.density","v":{"n":"6","chosen":"2","median":"2.3 %"},"views":[{"data":[{"x0":-9,"dx":1,"y":[4,0,0,1,1]},{"x0":-9,"dx":1,"y":[2,0,0,0,0]}],"decades":5,"layout":{"xaxis":{"tickvals":[-5.5,-0.5],"ticktext":["10 %","100 %"]}}}]},"l0":{"base":"sae.l0","v":{"mean":"18.2"},"views":[{"data":[{"x0":0.5,"dx":2,"y":[15,36,77,148,257,404,573,736,856,900,856,736,573,404,257,148,77,36,15,6,2,0,0,0]}]}]}},"has_map":true
,"rows":[
[0,0,0,"#z#G","#C$I","words about water and land","AAAAAAAAAAAAAAAA",-0.2363,-0.466],
[4,0.02273,13.64,"%8!B","#$$m","the verb in a question","AAAAAAAAAAAAAAAA",-0.3537,-0.1713],
[10,0.02273,16.97,"%)#$","!+%D","numbers and years","AAAAAAAAAAAAAAAA",-0.1928,0.1945]
]
});
