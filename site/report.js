(self.saereport=self.saereport||[]).push({"kind":"report","title":"SmolLM2-135M, seven SAEs","single":false,"texts":[0,287,575,856]
,"saes":[
{"slug":"transcoder-l3","label":"transcoder-l3","neuronpedia":"","count":18,"last":2107,"firsts":[154]},
{"slug":"resid-l10","label":"resid-l10","neuronpedia":"","count":18,"last":2250,"firsts":[47]},
{"slug":"transcoder-l10","label":"transcoder-l10","neuronpedia":"","count":18,"last":2258,"firsts":[196]},
{"slug":"transcoder-l14","label":"transcoder-l14","neuronpedia":"","count":18,"last":2292,"firsts":[10]},
{"slug":"attn-z-l16","label":"attn-z-l16","neuronpedia":"","count":17,"last":1489,"firsts":[197]},
{"slug":"resid-l16","label":"resid-l16","neuronpedia":"","count":18,"last":2298,"firsts":[128]},
{"slug":"attn-z-l18","label":"attn-z-l18","neuronpedia":"","count":18,"last":1518,"firsts":[19]}
]
,"panels":[
{"name":"examples","title":"Examples","tables":["examples","example_groups"],"wide":true},
{"name":"activation","title":"How often, how strongly","tables":["activity","activation_histogram"],"wide":false},
{"name":"logits","title":"What it writes","tables":["logit_lens"],"wide":false},
{"name":"tokens","title":"Tokens it is active on","tables":["token_statistics"],"wide":true},
{"name":"deembedding","title":"What it reads","tables":["deembedding"],"wide":true},
{"name":"heads","title":"Attention heads","tables":["head_shares","head_deembedding"],"wide":true},
{"name":"related","title":"Related latents","tables":["neighbours","coactivation"],"wide":true},
{"name":"pullbacks","title":"Read from earlier latents","tables":["pullbacks"],"wide":true},
{"name":"geometry","title":"Directions","tables":["geometry"],"wide":true}
]
,"bases":[
["examples",{"b":"examples"}],
["activation.histogram",{"b":"figure","title":"Non-zero activations","summary":"Histogram of {n} non-zero activations up to {max}; half of them lie below {median}.","log":"y","views":[{"label":"linear bins","columns":["from","to","tokens"],"data":[{"type":"bar","meta":"act","hoverinfo":"none"}],"layout":{"bargap":0.06,"xaxis":{"title":{"text":"activation"},"rangemode":"tozero"},"yaxis":{"title":{"text":"tokens"},"rangemode":"tozero"}}},{"label":"log bins","columns":["from","to","tokens"],"octaves":4,"data":[{"type":"bar","meta":"act","hoverinfo":"none","dx":1}],"layout":{"bargap":0.06,"xaxis":{"title":{"text":"activation (log scale)"},"tickmode":"array"},"yaxis":{"title":{"text":"tokens"},"rangemode":"tozero"}}}]}],
["activation.quantiles",{"b":"facts","title":"Quantiles of the non-zero activations","names":["1 %","5 %","25 %","50 %","75 %","95 %","99 %","mean","std"]}],
["logits.histogram",{"b":"figure","title":"Direct effect on every token of the vocabulary","summary":"Histogram of the direct effect on all tokens: mean {mean}, standard deviation {std}, skewness {skewness}, excess kurtosis {kurtosis}.","log":"y","views":[{"label":"","columns":["from","to","vocabulary tokens"],"data":[{"type":"bar","meta":"signed","hoverinfo":"none"}],"layout":{"bargap":0.06,"xaxis":{"title":{"text":"logit"}},"yaxis":{"title":{"text":"vocabulary tokens"},"rangemode":"tozero"}}}]}],
["logits.top",{"b":"tokens","title":"Raises most","columns":["logit"],"formats":["value"],"bar":0}],
["logits.bottom",{"b":"tokens","title":"Lowers most","columns":["logit"],"formats":["value"],"bar":0}],
["logits",{"b":"columns"}],
["tokens.share",{"b":"tokens","title":"By share of its activation","columns":["share","lift","active","of","mean"],"formats":["percent","times","count","count","value"],"bar":0}],
["tokens.lift",{"b":"tokens","title":"By lift","columns":["share","lift","active","of","mean"],"formats":["percent","times","count","count","value"],"bar":1}],
["tokens",{"b":"columns"}],
["deembedding.extended.top",{"title":"Extended: excited by","b":"tokens","columns":["score"],"formats":["value"],"bar":0}],
["deembedding.extended.bottom",{"title":"Extended: inhibited by","b":"tokens","columns":["score"],"formats":["value"],"bar":0}],
["deembedding.raw.top",{"title":"Raw: excited by","b":"tokens","columns":["score"],"formats":["value"],"bar":0}],
["deembedding.raw.bottom",{"title":"Raw: inhibited by","b":"tokens","columns":["score"],"formats":["value"],"bar":0}],
["deembedding",{"b":"columns"}],
["heads.shares",{"b":"figure","title":"Share of each head in the decoder","summary":"Bar chart of the share of {n} heads; head {head} has the largest share, {share}.","views":[{"label":"","columns":["head","share"],"data":[{"type":"bar","meta":"accent","hoverinfo":"none","x0":0,"dx":1}],"layout":{"bargap":0.2,"xaxis":{"title":{"text":"head"},"dtick":1},"yaxis":{"title":{"text":"share"},"rangemode":"tozero","tickformat":".0%"}}}]}],
["heads.top",{"b":"tokens","columns":["score"],"formats":["value"],"bar":0}],
["heads.note",{"b":"text","text":"Tokens that excite the latent when the head attends to them, for the heads through which it reads most strongly."}],
["heads",{"b":"columns"}],
["related.neighbours",{"b":"latents","title":"Nearest decoder directions","columns":["cosine"],"formats":["value"],"bar":0}],
["related.pearson",{"title":"Active together, by correlation","bar":0,"b":"latents","columns":["r","overlap","both"],"formats":["value","percent","count"]}],
["related.jaccard",{"title":"Active together, by overlap","bar":1,"b":"latents","columns":["r","overlap","both"],"formats":["value","percent","count"]}],
["related",{"b":"columns"}],
["pullbacks.top",{"b":"latents","columns":["pullback"],"formats":["value"],"bar":0}],
["pullbacks.bottom",{"b":"latents","columns":["pullback"],"formats":["value"],"bar":0}],
["pullbacks",{"b":"columns"}],
["geometry",{"b":"facts","names":["encoder norm","decoder norm","encoder–decoder cosine"],"notes":["read direction","write direction","1 when it reads what it writes"]}],
["sae.density",{"b":"figure","title":"Density of the latents","summary":"Histogram of log10 density: {n} latents of the SAE were active at least once, {chosen} of them shown here; half of the active ones have a density below {median}.","log":"y","views":[{"label":"","columns":["density from","to","latents","shown here"],"data":[{"type":"bar","meta":"quiet","name":"all latents","hoverinfo":"none"},{"type":"bar","meta":"accent","name":"shown here","hoverinfo":"none"}],"layout":{"barmode":"overlay","bargap":0.06,"xaxis":{"title":{"text":"density"},"tickmode":"array"},"yaxis":{"title":{"text":"latents"},"rangemode":"tozero"}}}]}],
["sae.l0",{"b":"figure","title":"Active latents per token (L0)","summary":"Histogram of the number of active latents per counted token; the mean is {mean}.","log":"y","views":[{"label":"","columns":["from","to","tokens"],"data":[{"type":"bar","meta":"accent","hoverinfo":"none"}],"layout":{"bargap":0.06,"xaxis":{"title":{"text":"active latents"},"rangemode":"tozero"},"yaxis":{"title":{"text":"tokens"},"rangemode":"tozero"}}}]}]
]
});
