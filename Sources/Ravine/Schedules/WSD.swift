import Kernels

/// wsd: warm-up, stable, decay.
struct WSD: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "wsd", "rises in a line, stays at value, and falls to floor in the last steps",
      formula: """
        t < warmup: value (t + 1) / warmup
        then value, and from steps - decay on, with p = (t - (steps - decay)) / decay,
        floor + (value - floor) f(p); floor from steps on
        f(p): linear 1 - p, cosine (1 + cos(pi p)) / 2, sqrt 1 - sqrt(p), square 1 - p^2
        exponential: value (floor / value)^p
        """,
      reference: """
        Hu et al. 2024, arXiv:2404.06395 (exponential); Haegele et al. 2024, arXiv:2405.18392 (sqrt); \
        transformers get_wsd_schedule; pytorch_optimizer (square)
        """,
      difference: """
        transformers begins with its floor and not with value / warmup: \
        warmup(wsd(...), steps=W, start=floor, compat=optax); its 1-sqrt warm-up is \
        mirror(wsd(value, W, decay=W, tail=sqrt), steps=W). pytorch_optimizer forgets the \
        floor during the decay; this does not. The exponential tail of the paper, 0.5^(s / T), is that \
        of floor = value 0.5^(decay / T).
        """,
      example: "wsd(1, steps=100, decay=30, warmup=10)",
      parameters: [
        .value, .steps("all steps, warm-up and decay included"),
        Parameter(
          "decay", .count, nil, to: 1e15, share: "steps", "steps of the fall, or a share: 20%"),
        Parameter(
          "warmup", .count, 0, to: 1e15, share: "steps", "steps of the rise, or a share: 5%"),
        .floor,
        Parameter(
          "tail", .word, 0, to: 4, words: ["linear", "cosine", "sqrt", "square", "exponential"],
          "how it falls"),
      ])
  }

  let start, steps, warmup, decay, floor: Double
  let tail: Int

  init(_ a: Arguments) throws(RavineError) {
    (start, steps, decay) = (a.number(0), a.number(1), a.number(2))
    (warmup, floor, tail) = (a.number(3), a.number(4), a.word(5))
    if warmup + decay > steps {
      throw .recipe(
        "wsd: warmup \(warmup) and decay \(decay) are more than the \(steps) steps there are")
    }
    if tail == 4, floor * start <= 0 {
      throw .recipe(
        "wsd: an exponential tail never reaches 0 or crosses it; value is \(start), floor is \(floor)"
      )
    }
  }

  func value(at t: Double) -> Double {
    if t < warmup { return start * ((t + 1) / warmup) }
    if t >= steps { return decay > 0 ? floor : start }
    let p = (t - (steps - decay)) / decay
    if t < steps - decay { return start }
    if tail == 4 { return start * Math.pow(floor / start, p) }
    return floor + (start - floor) * left(p)
  }

  private func left(_ p: Double) -> Double {
    switch tail {
    case 0: 1 - p
    case 1: 0.5 * (1 + Math.cos(.pi * p))
    case 2: 1 - p.squareRoot()
    default: 1 - p * p
    }
  }
}
