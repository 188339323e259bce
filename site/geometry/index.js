(self.saereport=self.saereport||[]).push({"kind":"page","page":"geometry/index.html"
,"blocks":[
]
});
