import CRavine
import CShims
import Ravine

/// Runs a check of a function. The function runs in the floating-point mode of the host, the check in
/// the default one.
private func with(
  _ function: UnsafePointer<rvn_function>?, _ body: (Problem) throws(RavineError) -> Void
) -> rvn_status {
  let mode = ravine_default_mode()
  defer { ravine_restore_mode(mode) }
  return enter(
    reading: { (native) throws(RavineError) in
      guard let function else { throw null("function") }
      try check(
        function.pointee.struct_size, "rvn_function", least: MemoryLayout<rvn_function>.size)
      if let host = function.pointee.host { native = try read(host) }
    },
    { (native) throws(RavineError) in
      let f = function.unsafelyUnwrapped.pointee
      guard let loss = f.loss else { throw null("rvn_function.loss") }
      let problem = Problem(LossFunction(loss, f.user, mode: mode), native.allocator)
      try checkMemory()
      guard f.tensor_count >= 0 else {
        throw RavineError(
          RVN_ERR_ARGUMENT,
          "rvn_function.tensor_count is \(UInt(bitPattern: f.tensor_count)), more than memory can hold"
        )
      }
      for i in 0..<f.tensor_count { try problem.add(try description(f.tensors, i)) }
      try body(problem)
    })
}

/// Tensor i of an array whose elements are as large as the caller's header makes them.
private func description(
  _ tensors: UnsafePointer<rvn_tensor>?, _ i: Int
) throws(RavineError) -> TensorDescription {
  guard let tensors else { throw null("rvn_function.tensors") }
  let size = tensors.pointee.struct_size
  try check(size, "rvn_tensor", least: MemoryLayout<rvn_tensor>.size)
  return try read((UnsafeRawPointer(tensors) + i * size).load(as: rvn_tensor.self))
}

// MARK: gradient

@_cdecl("rvn_check_gradient") @implementation
public func rvn_check_gradient(
  _ function: UnsafePointer<rvn_function>?, _ options: UnsafePointer<rvn_check_gradient_options>?,
  _ result: UnsafeMutablePointer<rvn_gradient_check>?,
  _ each: UnsafeMutablePointer<rvn_gradient_check>?
) -> rvn_status {
  with(function) { (problem) throws(RavineError) in
    guard let result else { throw null("result") }
    let least = MemoryLayout<rvn_gradient_check>.size
    try check(result.pointee.struct_size, "rvn_gradient_check", least: least)
    let stride = each?.pointee.struct_size ?? least
    try check(stride, "rvn_gradient_check", least: least)
    var native = GradientCheckOptions()
    if let o = options?.pointee {
      try check(
        o.struct_size, "rvn_check_gradient_options",
        least: MemoryLayout<rvn_check_gradient_options>.size)
      native.entries = o.entries
      native.directions = o.directions
      native.seed = o.seed
      native.step = o.step
      native.tolerance = o.tolerance
    }
    let (report, tensors) = try GradientCheck.run(problem, native)
    write(report, result, result.pointee.struct_size)
    guard let each else { return }
    for k in 0..<tensors.count {
      let place = UnsafeMutableRawPointer(each) + k * stride
      write(tensors[k], place.assumingMemoryBound(to: rvn_gradient_check.self), stride)
    }
  }
}

private func write(
  _ r: GradientReport, _ out: UnsafeMutablePointer<rvn_gradient_check>, _ size: Int
) {
  out.pointee = rvn_gradient_check(
    struct_size: size, outcome: r.outcome.rawValue, reserved: 0,
    checked: r.checked, mistakes: r.mistakes, kinks: r.kinks, unresolved: r.unresolved,
    cosine: r.cosine, ratio: r.ratio, tensor: r.worst.tensor, index: r.worst.index,
    analytic: r.worst.analytic, numeric: r.worst.numeric, error: r.worst.error,
    relative_error: r.worst.relativeError, backward: r.worst.backward, forward: r.worst.forward,
    step: r.worst.step, loss: r.loss, noise: r.noise, repeated: r.repeated,
    evaluations: r.evaluations)
}

// MARK: curvature

@_cdecl("rvn_hessian_extremes") @implementation
public func rvn_hessian_extremes(
  _ function: UnsafePointer<rvn_function>?, _ options: UnsafePointer<rvn_hessian_options>?,
  _ result: UnsafeMutablePointer<rvn_hessian_extremes_result>?
) -> rvn_status {
  with(function) { (problem) throws(RavineError) in
    guard let result else { throw null("result") }
    try check(
      result.pointee.struct_size, "rvn_hessian_extremes_result",
      least: MemoryLayout<rvn_hessian_extremes_result>.size)
    var native = HessianOptions()
    if let o = options?.pointee {
      try check(
        o.struct_size, "rvn_hessian_options", least: MemoryLayout<rvn_hessian_options>.size)
      native.iterations = o.iterations
      native.tolerance = o.tolerance
      native.step = o.step
      native.seed = o.seed
      native.preconditioner = o.preconditioner
      native.largestVector = o.largest_vector
      native.smallestVector = o.smallest_vector
    }
    let r = try HessianExtremes.run(problem, native)
    result.pointee = rvn_hessian_extremes_result(
      struct_size: result.pointee.struct_size, largest: r.largest, smallest: r.smallest,
      largest_residual: r.largestResidual, smallest_residual: r.smallestResidual,
      asymmetry: r.asymmetry, loss: r.loss, gradient_norm: r.gradientNorm,
      iterations: r.iterations, evaluations: r.evaluations, bytes: r.bytes,
      converged: r.converged ? 1 : 0, reserved: 0)
  }
}

@_cdecl("rvn_stability_threshold") @implementation
public func rvn_stability_threshold(
  _ momentum: UnsafePointer<CChar>?, _ lr: Double, _ beta: Double,
  _ threshold: UnsafeMutablePointer<Double>?
) -> rvn_status {
  enter(nil) { () throws(RavineError) in
    guard let threshold else { throw null("threshold") }
    let kind = try Momentum.named(Text(try bytes(momentum, "momentum")))
    threshold.pointee = try kind.threshold(lr: lr, beta: beta)
  }
}

// MARK: slices

@_cdecl("rvn_loss_slice") @implementation
public func rvn_loss_slice(
  _ function: UnsafePointer<rvn_function>?, _ options: UnsafePointer<rvn_loss_slice_options>?,
  _ losses: UnsafeMutablePointer<Double>?
) -> rvn_status {
  with(function) { (problem) throws(RavineError) in
    guard let o = options?.pointee else { throw null("options") }
    guard let losses else { throw null("losses") }
    try check(
      o.struct_size, "rvn_loss_slice_options", least: MemoryLayout<rvn_loss_slice_options>.size)
    try check(o.raw, "rvn_loss_slice_options.raw", flag: true)
    try check(o.last_axis, "rvn_loss_slice_options.last_axis", flag: true)
    try check(o.vectors, "rvn_loss_slice_options.vectors", flag: true)
    try check(o.reserved, "rvn_loss_slice_options.reserved")
    var native = LossSliceOptions()
    native.points = (o.points, o.points2)
    if o.low != 0 || o.high != 0 { (native.low, native.high) = (o.low, o.high) }
    native.seed = o.seed
    native.directions = (o.direction, o.direction2)
    native.raw = o.raw == 1
    native.lastAxis = o.last_axis == 1
    native.vectors = o.vectors == 1
    try LossSlice.run(problem, native, losses)
  }
}
