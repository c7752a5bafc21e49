import CRavine
import CShims

/// A kind of activation: where it is saturated.
public struct Activation: Sendable {
  public let name: StaticText
  /// Values beyond these are saturated.
  public let low, high: Double

  /// What an activation function can be called.
  static var all: [Activation] {
    [
      Activation(name: "relu", low: -.infinity, high: .infinity),
      Activation(name: "tanh", low: -0.99, high: 0.99),
      Activation(name: "sigmoid", low: 0.01, high: 0.99),
      Activation(name: "linear", low: -.infinity, high: .infinity),
    ]
  }

  public static func named(_ name: Text) throws(RavineError) -> Activation {
    var known: [Text] = []
    for activation in all {
      if name == activation.name { return activation }
      known.append(Text(activation.name))
    }
    throw .name(
      "no activation is named '\(name)'\(suggestion(for: name, among: known)); there are \(list(known))"
    )
  }

  /// The activation of a gate of an LSTM (i f g o, or c for g) or a GRU (r z n, or h for n).
  public static func gate(_ letter: UInt8) throws(RavineError) -> Activation {
    switch letter {
    case UInt8(ascii: "i"), UInt8(ascii: "f"), UInt8(ascii: "o"), UInt8(ascii: "r"),
      UInt8(ascii: "z"):
      return try named("sigmoid")
    case UInt8(ascii: "g"), UInt8(ascii: "c"), UInt8(ascii: "n"), UInt8(ascii: "h"):
      return try named("tanh")
    default:
      throw .name(
        "no gate is named '\(Text([letter]))'; there are i, f, o, r, z (sigmoid) and g, c, n, h (tanh)"
      )
    }
  }
}

/// What a batch of activations shows of the units that made them.
public struct ActivationReport {
  public var rows: UInt64 = 0
  public var units: UInt64 = 0
  /// Units that are 0 in every row, and units that are saturated in more than half of the rows.
  public var deadUnits: UInt64 = 0
  public var saturatedUnits: UInt64 = 0
  public var nonfinite: UInt64 = 0
  /// The first element that is NaN or infinite, counted row by row; -1: none.
  public var firstNonfinite: Int64 = -1
  /// Shares of all elements.
  public var zeros = 0.0
  public var low = 0.0
  public var high = 0.0
  /// Of the finite elements.
  public var mean = 0.0
  public var deviation = 0.0
  public var least = 0.0
  public var largest = 0.0
}

/// Rows of activations, one for each example or time step, in columns of units.
public struct ActivationRows {
  public let values: UnsafeRawPointer?
  public let type: Int32
  public let rows, units: Int
  /// Elements from a row to the next.
  public let stride: Int

  public init(_ values: UnsafeRawPointer?, type: Int32, rows: Int, units: Int, stride: Int) {
    self.values = values
    self.type = type
    self.rows = rows
    self.units = units
    self.stride = stride
  }

  public func check() throws(RavineError) {
    guard type == RVN_F32 || type == RVN_F64 else {
      throw RavineError(RVN_ERR_TYPE, "dtype \(type) is not one of RVN_F32 (1), RVN_F64 (2)")
    }
    guard rows >= 1, units >= 1 else {
      throw RavineError(
        RVN_ERR_SHAPE,
        "rows is \(UInt(bitPattern: rows)) and units is \(UInt(bitPattern: units)); both must be 1 or more"
      )
    }
    guard stride >= units else {
      throw RavineError(
        RVN_ERR_SHAPE,
        "stride is \(UInt(bitPattern: stride)) elements, but a row has \(units) of them")
    }
    let (elements, overflow) = rows.multipliedReportingOverflow(by: stride)
    guard !overflow, elements <= Int.max / 8 else {
      throw RavineError(RVN_ERR_SHAPE, "more elements than memory can hold")
    }
    guard values != nil else { throw .argument("values is NULL") }
    guard ElementType.aligned(values, type) else {
      throw .argument("values is not aligned to its elements")
    }
  }

  /// Looks at every element once, unit by unit. `shares`, if given, receives for each unit the shares
  /// of zeros, of elements below and of elements above the limits, in three runs of `units`.
  public func statistics(
    _ activation: Activation, shares: UnsafeMutablePointer<Double>?
  ) -> ActivationReport {
    var report = ActivationReport()
    report.rows = UInt64(rows)
    report.units = UInt64(units)
    report.least = .infinity
    report.largest = -.infinity
    let x = Reals(values.unsafelyUnwrapped, wide: type == RVN_F64)
    var zeros = 0, low = 0, high = 0, finite = 0, squares = 0.0
    for unit in 0..<units {
      var count = (zero: 0, low: 0, high: 0)
      for row in 0..<rows {
        let value = x[row * stride + unit]
        guard value.isFinite else {
          report.nonfinite += 1
          let place = Int64(row * units + unit)
          if report.firstNonfinite < 0 || place < report.firstNonfinite {
            report.firstNonfinite = place
          }
          continue
        }
        if value == 0 { count.zero += 1 }
        if value < activation.low { count.low += 1 }
        if value > activation.high { count.high += 1 }
        report.least = min(report.least, value)
        report.largest = max(report.largest, value)
        finite += 1
        // Welford: a mean far from 0 costs no digits.
        let off = value - report.mean
        report.mean += off / Double(finite)
        squares += off * (value - report.mean)
      }
      if count.zero == rows { report.deadUnits += 1 }
      if 2 * (count.low + count.high) > rows { report.saturatedUnits += 1 }
      if let shares {
        shares[unit] = Double(count.zero) / Double(rows)
        shares[units + unit] = Double(count.low) / Double(rows)
        shares[2 * units + unit] = Double(count.high) / Double(rows)
      }
      zeros += count.zero
      low += count.low
      high += count.high
    }
    let all = Double(rows) * Double(units)
    report.zeros = Double(zeros) / all
    report.low = Double(low) / all
    report.high = Double(high) / all
    report.deviation = finite > 0 ? (squares / Double(finite)).squareRoot() : .nan
    if finite == 0 { (report.mean, report.least, report.largest) = (.nan, .nan, .nan) }
    return report
  }
}
