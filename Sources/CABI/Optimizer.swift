import CRavine
import CShims
import Ravine

extension Optimizer: Held {
  static var definite: StaticText { "the optimizer" }
  static var indefinite: StaticText { "an optimizer" }
  static var magic: UInt64 { 0x7261_7669_6e65_6f70 }
  var memory: ravine_allocator? { allocator }
}

func with(_ opt: OpaquePointer?, _ body: (Optimizer) throws(RavineError) -> Void) -> rvn_status {
  open(opt, body)
}

@_cdecl("rvn_last_error") @implementation
public func rvn_last_error() -> UnsafePointer<CChar>? { UnsafePointer(ravine_error_buffer()) }

@_cdecl("rvn_optimizer_create") @implementation
public func rvn_optimizer_create(
  _ recipe: UnsafePointer<CChar>?, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> rvn_status {
  rvn_optimizer_create_with(recipe, nil, out)
}

@_cdecl("rvn_optimizer_create_with") @implementation
public func rvn_optimizer_create_with(
  _ recipe: UnsafePointer<CChar>?, _ options: UnsafePointer<rvn_options>?,
  _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> rvn_status {
  enter(
    reading: { (native) throws(RavineError) in
      guard let out else { throw null("out") }
      out.pointee = nil
      if let options { native = try read(options) }
      _ = try Catalog.shared()
    },
    { (native) throws(RavineError) in
      out?.pointee = try handle(of: try Optimizer.make(try bytes(recipe, "recipe"), native))
    })
}

func read(_ options: UnsafePointer<rvn_options>) throws(RavineError) -> Options {
  let o = options.pointee
  try check(o.struct_size, "rvn_options", least: MemoryLayout<rvn_options>.size)
  try check(o.reserved, "rvn_options.reserved")
  guard (o.allocate == nil) == (o.deallocate == nil) else {
    throw RavineError(
      RVN_ERR_ARGUMENT, "rvn_options: allocate and deallocate are given together or not at all")
  }
  guard o.threads >= -1, o.threads <= 256 else {
    throw RavineError(
      RVN_ERR_ARGUMENT,
      "rvn_options.threads is \(o.threads); -1 (as rvn_set_threads says), 0 (as many as pay) to 256 are allowed"
    )
  }
  var native = Options()
  native.allocator = ravine_allocator(
    allocate: o.allocate, deallocate: o.deallocate, user: o.allocator_user)
  native.parallelFor = o.parallel_for
  native.parallelUser = o.parallel_user
  native.threads = o.threads < 0 ? nil : Int(o.threads)
  native.product = o.product
  native.productUser = o.product_user
  try readRanks(o, &native)
  return native
}

/// Which of how many handles that share the work one is.
private func readRanks(_ o: rvn_options, _ native: inout Options) throws(RavineError) {
  let world = max(1, o.world)
  guard o.world >= 0, o.rank >= 0, o.rank < world else {
    throw RavineError(
      RVN_ERR_ARGUMENT,
      "rvn_options.rank is \(o.rank) and world is \(o.world); 0 <= rank < world is needed, or 0 for both"
    )
  }
  guard world == 1 || o.all_sum != nil else {
    throw RavineError(
      RVN_ERR_ARGUMENT,
      "rvn_options.all_sum is NULL, but world is \(world): ranks add up what they measure")
  }
  native.rank = Int(o.rank)
  native.world = Int(world)
  native.allSum = o.all_sum
  native.allSumUser = o.all_sum_user
}

@_cdecl("rvn_optimizer_add") @implementation
public func rvn_optimizer_add(
  _ opt: OpaquePointer?, _ tensor: UnsafePointer<rvn_tensor>?, _ index: UnsafeMutablePointer<Int>?
) -> rvn_status {
  with(opt) { (optimizer) throws(RavineError) in
    let i = try optimizer.add(try read(tensor))
    index?.pointee = i
  }
}

func read(_ tensor: UnsafePointer<rvn_tensor>?) throws(RavineError) -> TensorDescription {
  guard let tensor else { throw null("tensor") }
  return try read(tensor.pointee)
}

func read(_ t: rvn_tensor) throws(RavineError) -> TensorDescription {
  try check(t.struct_size, "rvn_tensor", least: MemoryLayout<rvn_tensor>.size)
  try check(t.reserved, "rvn_tensor.reserved")
  return TensorDescription(
    name: t.name, data: t.data, grad: t.grad, type: t.dtype, gradType: t.grad_dtype, rank: t.rank,
    shape: t.shape)
}

@_cdecl("rvn_optimizer_remove") @implementation
public func rvn_optimizer_remove(_ opt: OpaquePointer?, _ index: Int) -> rvn_status {
  with(opt) { (optimizer) throws(RavineError) in try optimizer.remove(index) }
}

@_cdecl("rvn_optimizer_shard") @implementation
public func rvn_optimizer_shard(
  _ opt: OpaquePointer?, _ index: Int, _ rank: Int32, _ first: UnsafeMutablePointer<Int>?,
  _ count: UnsafeMutablePointer<Int>?
) -> rvn_status {
  with(opt) { (optimizer) throws(RavineError) in
    let shard = try optimizer.shard(index, rank)
    first?.pointee = shard.lowerBound
    count?.pointee = shard.count
  }
}

@_cdecl("rvn_optimizer_step") @implementation
public func rvn_optimizer_step(
  _ opt: OpaquePointer?, _ input: UnsafePointer<rvn_step_input>?,
  _ report: UnsafeMutablePointer<rvn_step_report>?
) -> rvn_status {
  with(opt) { (optimizer) throws(RavineError) in
    try check(report)
    var grads: UnsafeBufferPointer<UnsafeRawPointer?>?, loss: Double?
    if let input {
      let i = input.pointee
      try check(i.struct_size, "rvn_step_input", least: MemoryLayout<rvn_step_input>.size)
      try check(i.has_loss, "rvn_step_input.has_loss", flag: true)
      try check(i.reserved, "rvn_step_input.reserved")
      if i.has_loss == 1 { loss = i.loss }
      if let given = i.grads {
        grads = UnsafeBufferPointer(start: given, count: i.grad_count < 0 ? 0 : i.grad_count)
      } else if i.grad_count != 0 {
        throw RavineError(RVN_ERR_ARGUMENT, "grads is NULL, but grad_count is \(i.grad_count)")
      }
    }
    tell(try optimizer.step(grads, reporting: report != nil, loss: loss), report)
  }
}

@_cdecl("rvn_optimizer_destroy") @implementation
public func rvn_optimizer_destroy(_ opt: OpaquePointer?) {
  destroy(Optimizer.self, opt)
}

@_cdecl("rvn_optimizer_prepare") @implementation
public func rvn_optimizer_prepare(_ opt: OpaquePointer?) -> rvn_status {
  with(opt) { (optimizer) throws(RavineError) in try optimizer.prepare() }
}

@_cdecl("rvn_optimizer_plan") @implementation
public func rvn_optimizer_plan(
  _ opt: OpaquePointer?, _ buf: UnsafeMutablePointer<CChar>?, _ cap: Int,
  _ needed: UnsafeMutablePointer<Int>?
) -> rvn_status {
  with(opt) { (optimizer) throws(RavineError) in
    try deliver(try optimizer.describe(), buf, cap, needed)
  }
}

@_cdecl("rvn_optimizer_bind") @implementation
public func rvn_optimizer_bind(
  _ opt: OpaquePointer?, _ index: Int, _ data: UnsafeMutableRawPointer?, _ grad: UnsafeRawPointer?
) -> rvn_status {
  with(opt) { (optimizer) throws(RavineError) in try optimizer.bind(index, data, grad) }
}

@_cdecl("rvn_optimizer_flush") @implementation
public func rvn_optimizer_flush(
  _ opt: OpaquePointer?, _ report: UnsafeMutablePointer<rvn_step_report>?
) -> rvn_status {
  with(opt) { (optimizer) throws(RavineError) in
    try check(report)
    tell(try optimizer.flush(reporting: report != nil), report)
  }
}

/// Where a report goes, if one is asked for.
func check(_ report: UnsafeMutablePointer<rvn_step_report>?) throws(RavineError) {
  guard let report else { return }
  try check(
    report.pointee.struct_size, "rvn_step_report", least: MemoryLayout<rvn_step_report>.size)
}

func tell(_ done: StepReport, _ report: UnsafeMutablePointer<rvn_step_report>?) {
  guard let report else { return }
  report.pointee.step = done.step
  report.pointee.lr = done.lr
  report.pointee.grad_norm = done.gradNorm
  report.pointee.clip_scale = done.clipScale
  report.pointee.update_norm = done.updateNorm
  report.pointee.nonfinite = done.nonfinite
  report.pointee.skipped = done.skipped.rawValue
  report.pointee.reserved = 0
}
