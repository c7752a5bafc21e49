import Kernels

/// inverse_time: divided by a number that grows in a line.
struct InverseTime: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "inverse_time", "divided by a number that grows in a line",
      formula: "value / (1 + rate t / every)^power",
      reference: "keras.optimizers.schedules.InverseTimeDecay; power: ParameterSchedulers.jl Inv",
      difference: """
        Same as Keras; every is its decay_steps. Its staircase is \
        per_epoch(steps_per_epoch=every, schedule=inverse_time(..., every=1)).
        """,
      example: "inverse_time(1, rate=0.1)",
      parameters: [
        .value, Parameter("rate", .number, nil, "how fast it falls"),
        Parameter("every", .number, 1, lowOpen: true, "steps over which rate acts"),
        Parameter("power", .number, 1, "power of the divisor"),
      ])
  }

  static func span(_ a: Arguments, inner: Double) -> Double { 10 * a.number(2) / a.number(1) }

  let start, rate, every, power: Double

  init(_ a: Arguments) throws(RavineError) {
    (start, rate, every, power) = (a.number(0), a.number(1), a.number(2), a.number(3))
  }

  func value(at t: Double) -> Double { start / Math.pow(1 + rate * (t / every), power) }
}
