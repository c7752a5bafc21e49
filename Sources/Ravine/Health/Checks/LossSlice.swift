import CRavine
import CShims
import Kernels

public struct LossSliceOptions {
  /// Points along each direction; 0 for the second: a line.
  public var points: (Int, Int) = (0, 0)
  /// Where they begin and end, in units of the direction.
  public var low = -1.0
  public var high = 1.0
  public var seed: UInt64 = 0
  /// One array for each tensor, of its type; nil: random.
  public var directions: (UnsafePointer<UnsafeRawPointer?>?, UnsafePointer<UnsafeRawPointer?>?) = (
    nil, nil
  )
  /// Whether directions are used as they are.
  public var raw = false
  /// Whether a filter is a slice along the last axis, in place of the first.
  public var lastAxis = false
  /// Whether tensors with fewer than two axes are moved.
  public var vectors = false

  public init() {}
}

/// The loss on a line or a plane through the parameters, along directions that are normalised filter by
/// filter (Li et al. 2018, "Visualizing the loss landscape of neural nets", arXiv:1712.09913).
public struct LossSlice {
  private let problem: Problem
  private let options: LossSliceOptions
  private let directions: (UnsafeMutablePointer<Double>, UnsafeMutablePointer<Double>?)

  public static var mostPoints: Int { 1 << 20 }

  /// Writes the losses, row by row: the second direction's points stand side by side. The parameters
  /// are put back whatever happens.
  public static func run(
    _ problem: Problem, _ options: LossSliceOptions, _ out: UnsafeMutablePointer<Double>
  ) throws(RavineError) {
    try check(problem, options)
    defer { problem.restore() }
    _ = try problem.firstLoss(gradient: false)
    let first = try direction(problem, options, 0)
    let second = options.points.1 > 0 ? try direction(problem, options, 1) : nil
    try checkMemory()
    try LossSlice(problem: problem, options: options, directions: (first, second)).fill(out)
  }

  private static func check(_ problem: Problem, _ o: LossSliceOptions) throws(RavineError) {
    guard problem.count > 0 else { throw .argument("there is no tensor") }
    guard o.points.0 >= 1, o.points.0 <= mostPoints, o.points.1 >= 0, o.points.1 <= mostPoints
    else {
      throw .argument(
        "points are \(o.points.0) and \(o.points.1); 1 to \(mostPoints) are allowed, and 0 for the second in a line"
      )
    }
    guard o.low.isFinite, o.high.isFinite, o.low < o.high else {
      throw .argument("low is \(o.low) and high is \(o.high); low must be below high")
    }
    guard o.points.1 > 0 || o.directions.1 == nil else {
      throw .argument("there is a second direction, but points2 is 0")
    }
    var moved = false
    for k in 0..<problem.count where problem[k].count > 0 {
      moved = moved || o.raw || o.vectors || problem[k].tensor.rank >= 2
    }
    guard moved else {
      throw .argument("no tensor has two axes, and the others are moved only with vectors = 1")
    }
  }

  private static func direction(
    _ problem: Problem, _ o: LossSliceOptions, _ number: Int
  ) throws(RavineError) -> UnsafeMutablePointer<Double> {
    var total = 0
    for k in 0..<problem.count { total += problem[k].count }
    let out = try problem.heap.allocate(Double.self, total)
    let random = Philox(seed: o.seed, .sliceDirections).child(UInt64(number))
    let given = number == 0 ? o.directions.0 : o.directions.1
    var d = out
    for k in 0..<problem.count {
      let part = problem[k]
      if let given {
        guard let array = given[k] ?? (part.count == 0 ? UnsafeRawPointer(d) : nil) else {
          throw .argument("direction \(number + 1) of tensor '\(part.tensor.text)' is NULL")
        }
        let source = Reals(array, wide: part.now.wide)
        for i in 0..<part.count { d[i] = source[i] }
        if let i = source.firstNonfinite(part.count) {
          throw RavineError(
            RVN_ERR_NONFINITE,
            "direction \(number + 1) of tensor '\(part.tensor.text)' is \(source[i]) at index \(i)")
        }
      } else {
        let numbers = random.child(UInt64(k))
        for i in 0..<part.count { d[i] = normal(numbers, UInt64(i)) }
      }
      if !o.raw { normalise(d, part, o) }
      d += part.count
    }
    return out
  }

  /// A normal number (Box and Muller 1958).
  private static func normal(_ random: Philox, _ index: UInt64) -> Double {
    let bits = random.block(index)
    let radius = (-2 * Math.log((Double(bits.low >> 11) + 1) * 0x1p-53)).squareRoot()
    return radius * Math.cos(2 * Double.pi * (Double(bits.high >> 11) * 0x1p-53))
  }

  /// Gives each filter of a direction the norm of the parameters' filter.
  private static func normalise(
    _ d: UnsafeMutablePointer<Double>, _ part: Part, _ o: LossSliceOptions
  ) {
    let rank = part.tensor.rank
    var filters = 1
    if rank >= 2 {
      filters = Int(part.tensor.shape[o.lastAxis ? rank - 1 : 0])
    } else if !o.vectors {
      for i in 0..<part.count { d[i] = 0 }
      return
    }
    guard part.count > 0 else { return }
    let length = part.count / filters
    // Elements of a filter are side by side, or `filters` apart.
    let (start, stride) = o.lastAxis && rank >= 2 ? (1, filters) : (length, 1)
    for f in 0..<filters {
      var ours = 0.0, theirs = 0.0
      for i in 0..<length {
        let place = f * start + i * stride
        ours += d[place] * d[place]
        theirs += part.was[place] * part.was[place]
      }
      let factor = ours > 0 ? (theirs / ours).squareRoot() : 0
      for i in 0..<length { d[f * start + i * stride] *= factor }
    }
  }

  /// Point i of n, with both ends exact.
  private func position(_ i: Int, _ n: Int) -> Double {
    if n == 1 { return 0 }
    let share = Double(i) / Double(n - 1)
    return (1 - share) * options.low + share * options.high
  }

  private func fill(_ out: UnsafeMutablePointer<Double>) throws(RavineError) {
    let (rows, columns) = (options.points.0, max(1, options.points.1))
    for i in 0..<rows {
      for j in 0..<columns {
        move(position(i, rows), directions.1 == nil ? 0 : position(j, columns))
        out[i * columns + j] = try problem.loss(gradient: false)
      }
    }
  }

  private func move(_ a: Double, _ b: Double) {
    var place = 0
    for k in 0..<problem.count {
      let part = problem[k]
      for i in 0..<part.count {
        var shift = a * directions.0[place + i]
        if let second = directions.1 { shift += b * second[place + i] }
        part.now[i] = part.was[i] + shift
      }
      place += part.count
    }
  }
}
