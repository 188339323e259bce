// A report in one file: its pages and data are inside this one.
"use strict";
