// Pinned latents, which go along in the address.
"use strict";
