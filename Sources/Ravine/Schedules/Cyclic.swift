import Kernels

/// cyclic: up and down between two values, again and again.
struct Cyclic: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "cyclic", "up and down between two values in straight lines, again and again",
      formula: """
        value + (peak - value) x f, with x from 0 to 1 in up steps and back in down steps
        f: triangular 1, triangular2 0.5^(cycles before), exp_range factor^t
        """,
      reference: "Smith 2017, arXiv:1506.01186; torch.optim.lr_scheduler.CyclicLR",
      difference: """
        Same as torch. Its momentum goes the other way: cyclic(0.9, 0.8, up=...).
        """,
      parameters: [
        .value, Parameter("peak", .number, nil, from: -.infinity, "the value at the top"),
        Parameter("up", .count, nil, from: 1, to: 1e15, share: "total", "steps of each rise"),
        Parameter(
          "down", .count, 0, to: 1e15, share: "total", "steps of each fall; 0: as many as up"),
        Parameter(
          "mode", .word, 0, to: 2, words: ["triangular", "triangular2", "exp_range"],
          "how the tops change"),
        Parameter("factor", .number, 1, lowOpen: true, "of exp_range, in each step"),
      ])
  }

  let start, peak, up, down, factor: Double
  let mode: Int

  init(_ a: Arguments) throws(RavineError) {
    (start, peak, up, mode, factor) = (
      a.number(0), a.number(1), a.number(2), a.word(4), a.number(5)
    )
    down = a.number(3) == 0 ? up : a.number(3)
  }

  func value(at t: Double) -> Double {
    let length = up + down, u = place(of: t, inCyclesOf: length)
    let x = u <= up ? u / up : (length - u) / down
    return start + (peak - start) * x * height(t, (t / length).rounded(.down))
  }

  private func height(_ t: Double, _ cycles: Double) -> Double {
    switch mode {
    case 0: 1
    case 1: Math.pow(0.5, cycles)
    default: Math.pow(factor, t)
    }
  }
}
