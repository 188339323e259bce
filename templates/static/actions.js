// What can be done with what is shown: copy, download, print.
"use strict";
