// Stars, labels and notes of the reader, kept in this browser.
"use strict";
