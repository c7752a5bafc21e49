import Kernels

/// cosine_restarts: half cosines, one after the other.
struct CosineRestarts: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "cosine_restarts", "half cosines from a peak to floor, one after the other",
      formula: """
        cycle k = 0, 1, ... has n = steps multiplier^k steps and the peak value decay^k
        u < warmup: floor + (peak - floor) (u + 1) / warmup
        u >= warmup: floor + (peak - floor) (1 + cos(pi (u - warmup) / (n - warmup))) / 2
        """,
      reference: """
        SGDR: Loshchilov & Hutter 2017, arXiv:1608.03983; torch CosineAnnealingWarmRestarts; timm \
        CosineLRScheduler (decay, limit); pytorch_optimizer CosineAnnealingWarmupRestarts (warmup)
        """,
      difference: """
        The warm-up wastes no step; pytorch_optimizer begins it at floor: compat=pytorch_optimizer. \
        Its cycles multiply without their warm-up, here with it. \
        Keras decays (value - floor) and not the peak: compat=keras.
        """,
      example: "cosine_restarts(1, steps=20, multiplier=2, decay=0.8)",
      parameters: [
        .value, .steps("length of the first cycle"),
        Parameter(
          "multiplier", .number, 1, from: 1, to: 1e6, "each cycle is so many times as long"),
        Parameter("decay", .number, 1, "each peak is so many times the one before"),
        Parameter(
          "warmup", .count, 0, to: 1e15, share: "steps", "steps of each cycle that rise to its peak"
        ),
        .floor,
        Parameter(
          "limit", .number, .infinity, from: 1, highOpen: false,
          "how many cycles; floor after them"),
        Parameter(
          "compat", .word, 0, to: 2, words: ["timm", "keras", "pytorch_optimizer"],
          "how peaks decay and the warm-up begins"),
      ])
  }

  static func span(_ a: Arguments, inner: Double) -> Double {
    let n = a.number(1), m = a.number(2)
    return n * (1 + m + m * m)
  }

  let start, steps, multiplier, decay, warmup, floor, limit: Double
  let compat: Int

  init(_ a: Arguments) throws(RavineError) {
    (start, steps, multiplier, decay) = (a.number(0), a.number(1), a.number(2), a.number(3))
    (warmup, floor, limit, compat) = (a.number(4), a.number(5), a.number(6), a.word(7))
    if warmup > steps {
      throw .recipe(
        "cosine_restarts: warmup is \(warmup), longer than the first cycle of \(steps) steps")
    }
  }

  /// The step that a cycle begins at.
  private func start(ofCycle k: Double) -> Double {
    multiplier == 1 ? k * steps : steps * ((Math.pow(multiplier, k) - 1) / (multiplier - 1))
  }

  private func cycle(at t: Double) -> Double {
    if multiplier == 1 { return (t / steps).rounded(.down) }
    let grown = Math.log(1 + t / steps * (multiplier - 1)) / Math.log(multiplier)
    let k = grown.rounded(.down)
    // The logarithm may fall on the wrong side of the boundary.
    if start(ofCycle: k + 1) <= t { return k + 1 }
    return start(ofCycle: k) > t ? k - 1 : k
  }

  func value(at t: Double) -> Double {
    let k = cycle(at: t)
    if k >= limit { return floor }
    let length = steps * Math.pow(multiplier, k)
    let u = multiplier == 1 ? place(of: t, inCyclesOf: steps) : max(0, t - start(ofCycle: k))
    let faded = Math.pow(decay, k)
    let height = compat == 1 ? (start - floor) * faded : start * faded - floor
    if u < warmup { return floor + height * ((compat == 2 ? u : u + 1) / warmup) }
    let p = length > warmup ? min(1, (u - warmup) / (length - warmup)) : 0
    return floor + height * (0.5 * (1 + Math.cos(.pi * p)))
  }
}
