/// project: keeps the parameters of each tensor inside a set.
struct Project<T: Scalar>: MeasuringUpdate {
  #if BASELINE
  static var declaration: Declaration {
    Declaration(
      .stage, "project", "takes each tensor to the nearest point of a set; behind the rule",
      formula: """
        box:         p <- min(max(p, low), high)        low=0: non-negative
        linf:        p <- min(max(p, -radius), radius)
        l2:          p <- p min(1, radius / |p|)
        simplex:     p <- max(p - c, 0)                 where c makes the sum radius
        l1:          p <- sign(p) max(|p| - c, 0)       where c makes the sum of |p| radius, if it is more
        """,
      reference: """
        Duchi et al. 2008 (l1, simplex); Michelot 1986 (how c is found); optax.projections
        """,
      difference: """
        Same points as optax.projections, for each tensor by itself. box and linf cost nothing, l2 one \
        pass over memory, simplex and l1 a pass for each round of the search for c (some ten).
        """,
      parameters: [
        Parameter(
          "onto", .word, 0, to: 4, words: ["box", "linf", "l2", "simplex", "l1"],
          "which set"),
        Parameter("radius", .number, 1, lowOpen: true, "of the ball; the sum of the simplex"),
        Parameter(
          "low", .number, 0, from: -.infinity, lowOpen: false, highOpen: true, "box: least value"),
        Parameter(
          "high", .number, .infinity, from: -.infinity, highOpen: false,
          "box: greatest value; below low it wins"),
      ])
  }

  static func facts(_ h: Hyper) -> StageFacts { StageFacts(follows: true, settles: h.onto >= 2) }
  #endif

  struct Hyper { var onto, radius, low, high: Double }
  typealias State = Void
  static var zero: State { @inline(__always) get { () } }
  struct Measures { var all, beyond, count: T.Lanes }
  static var squares: Int { @inline(__always) get { 1 } }

  let radius: Double
  let boxed, ball, signed: Bool
  let low, high: T
  /// What is taken from each magnitude; what each element is multiplied by.
  var cut: T, scale: T = 1
  var kept = Double.infinity
  /// Whether anything is cut.
  var cuts = false

  init(_ h: Hyper, lr: Double, step t: Double) {
    boxed = h.onto < 2
    ball = h.onto == 2
    signed = h.onto == 4
    radius = h.radius
    low = T(h.onto == 0 ? h.low : -h.radius)
    high = T(h.onto == 0 ? h.high : h.radius)
    cut = h.onto == 3 ? -.infinity : 0
  }

  /// The magnitude that the simplex and the l1 ball cut.
  @inline(__always)
  func size(_ x: T.Lanes) -> T.Lanes {
    signed ? choose(x, greaterThan: .zero, x, else: .zero - x) : x
  }

  @inline(__always)
  func measure(_ old: T.Lanes, _ new: T.Lanes, _ g: T.Lanes) -> Measures {
    let x = size(new), limit = T.splat(cut)
    return Measures(
      all: new, beyond: choose(x, greaterThan: limit, x, else: .zero),
      count: choose(x, greaterThan: limit, T.splat(1), else: .zero))
  }

  mutating func settle(_ sums: UnsafePointer<Double>) -> Bool {
    if ball {
      let norm = sums[0].squareRoot()
      scale = norm > radius ? T(radius / norm) : 1
      return true
    }
    let beyond = sums[1], count = sums[2]
    // Inside the l1 ball; or what is not finite, which no cut mends.
    if signed, kept == .infinity, beyond <= radius { return true }
    if !(count > 0 && count < kept) { return true }
    kept = count
    let next = T((beyond - radius) / count)
    if !(next > cut) { return true }
    cut = next
    cuts = true
    return false
  }

  @inline(__always)
  func apply(_ old: T.Lanes, _ new: T.Lanes, _ g: T.Lanes, _ s: inout State) -> T.Lanes {
    if boxed {
      let x = choose(T.splat(low), greaterThan: new, T.splat(low), else: new)
      return choose(x, greaterThan: T.splat(high), T.splat(high), else: x)
    }
    if ball { return scale * new }
    if signed, !cuts { return new }
    let x = size(new) - cut
    let positive = choose(.zero, greaterThan: x, .zero, else: x)
    return signed ? choose(new, greaterThan: .zero, positive, else: .zero - positive) : positive
  }
}
