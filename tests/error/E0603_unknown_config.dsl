config channels = 8
program f(x: [n:4, c:8]) -> y = x * channels
#run -D chanels=3
#| ectc: error E0603: -D chanels=3: the model has no config `chanels`
#|    help: did you mean `-D channels=3`?      (ectc explain E0603)
