config channels = 8, mode: "a" | "b" = "a", list = [1, 2], p = 0.5
program f(x: [n:4, c:8]) -> y = if mode == "a" { x * channels * p } else { x * list[0] }
#run -D channels=3.5 -D mode=c -D list=[1,x] -D p=nan
#| E0604_config_value.dsl:1:8: error E0604: -D channels=3.5: `channels` is an integer
#|     1 | config channels = 8, mode: "a" | "b" = "a", list = [1, 2], p = 0.5
#|       |        ^^^^^^^^ default 8
#|    help: write -D channels=8      (ectc explain E0604)
#| E0604_config_value.dsl:1:22: error E0604: `mode` cannot be "c"
#|     1 | config channels = 8, mode: "a" | "b" = "a", list = [1, 2], p = 0.5
#|       |                      ^^^^  ^^^^^^^^^ one of these
#|    help: choose one of the listed values      (ectc explain E0604)
#| E0604_config_value.dsl:1:45: error E0604: -D list=[1,x]: `list` is a list like [1, 2]
#|     1 | config channels = 8, mode: "a" | "b" = "a", list = [1, 2], p = 0.5
#|       |                                             ^^^^ default [1, 2]
#|    help: write -D list='[1, 2]'      (ectc explain E0604)
#| E0604_config_value.dsl:1:60: error E0604: -D p=nan: `p` is a real
#|     1 | config channels = 8, mode: "a" | "b" = "a", list = [1, 2], p = 0.5
#|       |                                                            ^ default 0.5
#|    help: write -D p=0.5      (ectc explain E0604)
