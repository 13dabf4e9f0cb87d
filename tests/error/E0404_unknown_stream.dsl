stream noise
program f(x: [n:4, c:8]) -> y = x + normal like x from nois + normal like x from noise
#| E0404_unknown_stream.dsl:2:56: error E0404: there is no stream `nois`
#|     2 | program f(x: [n:4, c:8]) -> y = x + normal like x from nois + normal like x from noise
#|       |                                                        ^^^^
#|    help: `stream nois` at file level declares one      (ectc explain E0404)
