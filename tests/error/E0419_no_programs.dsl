import std.nn
use net = Linear(8, 8)
#| ectc: error E0419: E0419_no_programs.dsl declares nothing to run
#|    help: a `program`, a `train` or a `sample`      (ectc explain E0419)
