"""Attribution graphs: from tokens over latents to logits, by direct linear effects."""
