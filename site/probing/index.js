(self.saereport=self.saereport||[]).push({"kind":"page","page":"probing/index.html"
,"blocks":[
["all.1",{"b":"heatmap","choice":"how latents are pooled","summary":"Held-out accuracy of the probe on the most latents, minus that of a probe on all activations at the same place: what is near 0, a few latents carry.","views":[{"label":"maximum over the text","rows":["transcoder-l3","resid-l10","transcoder-l10","transcoder-l14","attn-z-l16","resid-l16","attn-z-l18"],"columns":["demo: jargon","demo: novel","demo: reference","demo: satire","demo: speech"],"z":[[-0.06098,-0.1098,-0.07317,0.06098,-0.09756],[-0.09756,-0.06098,-0.08537,0.0122,-0.09756],[-0.07317,-0.122,-0.07317,0.03659,-0.1098],[-0.07317,-0.1585,-0.1098,-0.02439,-0.1341],[-0.06098,-0.04878,-0.0122,0,-0.1585],[-0.03659,-0.09756,-0.04878,-0.0122,-0.08537],[-0.08537,-0.07317,-0.04878,-0.06098,-0.08537]]}]}]
]
});
