(self.saereport=self.saereport||[]).push({"kind":"page","page":"capability/index.html"
,"blocks":[
["change.0",{"b":"heatmap","choice":"of which figure","summary":"With the SAE's reconstruction spliced in, minus the model itself: what is below 0 the reconstruction loses.","views":[{"label":"accuracy","rows":["transcoder-l3","resid-l10","transcoder-l10","transcoder-l14","attn-z-l16","resid-l16","attn-z-l18"],"columns":["Capitals"],"z":[[0],[0],[0],[0],[0],[0],[0]]},{"label":"logit difference","rows":["transcoder-l3","resid-l10","transcoder-l10","transcoder-l14","attn-z-l16","resid-l16","attn-z-l18"],"columns":["Capitals"],"z":[[-1.022],[-2.202],[0.8019],[-0.7067],[-0.5447],[-3.423],[-0.2693]]}]}]
]
});
