import CRavine
import CShims
import Ravine

// MARK: noise scale

/// Runs a body on the running means of a caller's struct, which keeps them only if all went well.
private func update(
  _ scale: UnsafeMutablePointer<rvn_noise_scale>?,
  _ body: (inout NoiseScale) throws(RavineError) -> Void
) -> rvn_status {
  enter(nil) { () throws(RavineError) in
    guard let scale else { throw null("scale") }
    try check(
      scale.pointee.struct_size, "rvn_noise_scale", least: MemoryLayout<rvn_noise_scale>.size)
    var native = read(scale.pointee)
    try body(&native)
    write(native, &scale.pointee)
  }
}

private func read(_ s: rvn_noise_scale) -> NoiseScale {
  var native = NoiseScale()
  native.decay = s.decay
  native.count = s.count
  native.meanSignal = s.mean_signal
  native.meanVariance = s.mean_variance
  native.weight = s.weight
  native.weightSquares = s.weight_squares
  native.spread = (s.spread.0, s.spread.1, s.spread.2)
  return native
}

private func write(_ native: NoiseScale, _ out: inout rvn_noise_scale) {
  out.count = native.count
  out.scale = native.scale
  out.error = native.error
  out.signal = native.signal
  out.variance = native.variance
  out.mean_signal = native.meanSignal
  out.mean_variance = native.meanVariance
  out.weight = native.weight
  out.weight_squares = native.weightSquares
  out.spread = (native.spread.signal, native.spread.both, native.spread.variance)
}

@_cdecl("rvn_noise_scale_norms") @implementation
public func rvn_noise_scale_norms(
  _ scale: UnsafeMutablePointer<rvn_noise_scale>?, _ small: UInt64, _ small_norm: Double,
  _ large: UInt64, _ large_norm: Double
) -> rvn_status {
  update(scale) { (native) throws(RavineError) in
    try native.add(small: small, smallNorm: small_norm, large: large, largeNorm: large_norm)
  }
}

@_cdecl("rvn_noise_scale_gradients") @implementation
public func rvn_noise_scale_gradients(
  _ scale: UnsafeMutablePointer<rvn_noise_scale>?, _ batch: UInt64, _ parts: Int, _ tensors: Int,
  _ grads: UnsafePointer<UnsafeRawPointer?>?, _ counts: UnsafePointer<Int>?, _ dtype: Int32
) -> rvn_status {
  update(scale) { (native) throws(RavineError) in
    guard let grads else { throw null("grads") }
    guard let counts else { throw null("counts") }
    try native.add(
      grads, parts: parts, tensors: tensors, counts: counts, type: dtype, batch: batch)
  }
}

// MARK: activations

@_cdecl("rvn_activation_statistics") @implementation
public func rvn_activation_statistics(
  _ values: UnsafeRawPointer?, _ dtype: Int32, _ rows: Int, _ units: Int, _ stride: Int,
  _ activation: UnsafePointer<CChar>?,
  _ result: UnsafeMutablePointer<rvn_activation_statistics_result>?,
  _ shares: UnsafeMutablePointer<Double>?
) -> rvn_status {
  enter(nil) { () throws(RavineError) in
    let kind = try Activation.named(Text(try bytes(activation, "activation")))
    guard let result else { throw null("result") }
    let size = try size(of: result)
    let array = ActivationRows(
      values, type: dtype, rows: rows, units: units, stride: stride == 0 ? units : stride)
    try array.check()
    write(array.statistics(kind, shares: shares), result, size)
  }
}

@_cdecl("rvn_gate_statistics") @implementation
public func rvn_gate_statistics(
  _ values: UnsafeRawPointer?, _ dtype: Int32, _ rows: Int, _ units: Int, _ stride: Int,
  _ gates: UnsafePointer<CChar>?,
  _ results: UnsafeMutablePointer<rvn_activation_statistics_result>?,
  _ shares: UnsafeMutablePointer<Double>?
) -> rvn_status {
  enter(nil) { () throws(RavineError) in
    let letters = try bytes(gates, "gates")
    guard let results else { throw null("results") }
    let size = try size(of: results)
    guard letters.count >= 1, letters.count <= 8 else {
      throw RavineError(
        RVN_ERR_ARGUMENT, "gates has \(letters.count) letters; 1 to 8 are allowed, such as ifgo")
    }
    for letter in letters { _ = try Activation.gate(letter) }
    let (width, overflow) = units.multipliedReportingOverflow(by: letters.count)
    // The whole row is checked as one array, so that every gate lies in it.
    try ActivationRows(
      values, type: dtype, rows: rows, units: overflow ? 0 : width,
      stride: stride == 0 ? width : stride
    ).check()
    for (k, letter) in letters.enumerated() {
      let start = values.unsafelyUnwrapped + k * units * (dtype == RVN_F64 ? 8 : 4)
      let array = ActivationRows(
        start, type: dtype, rows: rows, units: units, stride: stride == 0 ? width : stride)
      let place = UnsafeMutableRawPointer(results) + k * size
      write(
        array.statistics(try Activation.gate(letter), shares: shares.map { $0 + 3 * units * k }),
        place.assumingMemoryBound(to: rvn_activation_statistics_result.self), size)
    }
  }
}

private func size(
  of result: UnsafeMutablePointer<rvn_activation_statistics_result>
) throws(RavineError) -> Int {
  let size = result.pointee.struct_size
  try check(
    size, "rvn_activation_statistics_result",
    least: MemoryLayout<rvn_activation_statistics_result>.size)
  return size
}

private func write(
  _ r: ActivationReport, _ out: UnsafeMutablePointer<rvn_activation_statistics_result>,
  _ size: Int
) {
  out.pointee = rvn_activation_statistics_result(
    struct_size: size, rows: r.rows, units: r.units,
    dead_units: r.deadUnits, saturated_units: r.saturatedUnits, nonfinite: r.nonfinite,
    first_nonfinite: r.firstNonfinite, zeros: r.zeros, low: r.low, high: r.high, mean: r.mean,
    deviation: r.deviation, least: r.least, largest: r.largest)
}
