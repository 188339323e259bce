(self.saereport=self.saereport||[]).push({"kind":"page","page":"output-scores/index.html"
,"blocks":[
]
});
