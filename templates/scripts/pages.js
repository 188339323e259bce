// Every page of a report, in a folder or in one file.
import "./single/open.js";
import "./core/data.js";
import "./core/load.js";
import "./single/travel.js";
import "./reader/pins.js";
import "./reader/notes.js";
import "./shell/scroll.js";
import "./shell/page.js";
import "./inspect.js";
