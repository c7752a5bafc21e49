import Kernels

/// cyclic: up and down between two values, again and again.
struct Cyclic: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "cyclic", "up and down between two values, again and again",
      formula: """
        value + (peak - value) s(x) f, with x from 0 to 1 in up steps and back in down steps
        s(x): linear x, sine sin(pi x / 2)
        f: triangular 1, triangular2 0.5^(cycles before), exp_range factor^t
        """,
      reference: """
        Smith 2017, arXiv:1506.01186; torch.optim.lr_scheduler.CyclicLR; sine: ParameterSchedulers.jl \
        Sin, SinDecay2, SinExp
        """,
      difference: """
        Same as torch; the period of ParameterSchedulers.jl is 2 up. Its momentum goes the other way: cyclic(0.9, 0.8, up=...).
        """,
      example: "cyclic(0.2, 1, up=20, mode=triangular2)",
      parameters: [
        .value, Parameter("peak", .number, nil, from: -.infinity, "the value at the top"),
        Parameter("up", .count, nil, from: 1, to: 1e15, share: "total", "steps of each rise"),
        Parameter(
          "down", .count, 0, to: 1e15, share: "total", "steps of each fall; 0: as many as up"),
        Parameter(
          "mode", .word, 0, to: 2, words: ["triangular", "triangular2", "exp_range"],
          "how the tops change"),
        Parameter("factor", .number, 1, lowOpen: true, "of exp_range, in each step"),
        Parameter(
          "shape", .word, 0, to: 1, words: ["linear", "sine"], "what is between the values"),
      ])
  }

  static func span(_ a: Arguments, inner: Double) -> Double {
    3 * (a.number(2) + (a.number(3) == 0 ? a.number(2) : a.number(3)))
  }

  let start, peak, up, down, factor: Double
  let mode: Int
  let sine: Bool

  init(_ a: Arguments) throws(RavineError) {
    (start, peak, up, mode, factor) = (
      a.number(0), a.number(1), a.number(2), a.word(4), a.number(5)
    )
    sine = a.flag(6)
    down = a.number(3) == 0 ? up : a.number(3)
  }

  func value(at t: Double) -> Double {
    let length = up + down, u = place(of: t, inCyclesOf: length)
    let x = u <= up ? u / up : (length - u) / down
    let risen = sine ? Math.sin(.pi / 2 * x) : x
    return start + (peak - start) * risen * height(t, (t / length).rounded(.down))
  }

  private func height(_ t: Double, _ cycles: Double) -> Double {
    switch mode {
    case 0: 1
    case 1: Math.pow(0.5, cycles)
    default: Math.pow(factor, t)
    }
  }
}
