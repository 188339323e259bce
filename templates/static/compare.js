// The page that shows pinned latents side by side.
"use strict";
