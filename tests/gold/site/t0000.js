(self.saereport=self.saereport||[]).push({"kind":"text","file":0
,"sequences":[
[0,"!!$x!/!(%=%D%0%7%,%E%=!#"],
[1,"!!!-%7#+%A%,$y%#!+!X%3%2"],
[2,"!!$~%I%H%4%2%5$~!`%6%+$z"],
[3,"!!%C%E$}%.${%/$|$~%C#z%1"]
]
});
