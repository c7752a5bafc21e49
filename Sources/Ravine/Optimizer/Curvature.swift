import CRavine
import CShims
import Kernels

/// What a pass over estimates of curvature does to one tensor. It lies in the place of the tensor's own
/// scalars, which each step makes anew.
private struct Estimate: BitwiseCopyable {
  /// How much of the mean stays, and how much of the estimate comes to it.
  var kept, fresh: Double
  var probe: Probe
}

/// A probe vector: 1 or -1 in each place, one as likely as the other (Rademacher). It hangs on the rule's
/// seed, the tensor's name and how many estimates there were.
private struct Probe: BitwiseCopyable {
  let key, number: UInt64

  init(_ tensor: Tensor, seed: Double) {
    key = Philox(seed: UInt64(seed), .probes).key(tensor.hash)
    number = tensor.curved
  }

  /// As BF16, in which it is a sign and the same bits behind it. `first` is a multiple of 128, and there is
  /// room for as many more.
  @inline(never)
  func draw(
    _ kernels: ravine_kernels, _ first: Int, _ count: Int, _ out: UnsafeMutablePointer<UInt16>
  ) {
    kernels.draw.unsafelyUnwrapped(key, UInt64(first), number, out, count)
    for i in 0..<count { out[i] = out[i] & 0x8000 | 0x3f80 }
  }
}

/// Curvature of the loss, which the caller estimates, for rules that step by it.
extension Optimizer {
  /// Writes the vector that the Hessian is to be multiplied by for the next estimate of a tensor: signs,
  /// or zeros where its rule wants no curvature.
  public func probe(
    _ index: Int, _ type: Int32, _ out: UnsafeMutableRawPointer?, _ count: Int
  ) throws(RavineError) {
    try checkPoison()
    let tensor = try self.tensor(index)
    try ElementType.check(type)
    guard count == tensor.count else {
      throw RavineError(
        RVN_ERR_SHAPE,
        "count is \(UInt(bitPattern: count)), but '\(tensor.text)' has \(tensor.count) elements")
    }
    guard out != nil || count == 0 else { throw .argument("out is NULL") }
    try preparing { () throws(RavineError) in try writeProbe(index, type, out, count) }
  }

  private func writeProbe(
    _ index: Int, _ type: Int32, _ out: UnsafeMutableRawPointer?, _ count: Int
  ) throws(RavineError) {
    let group = try prepared().groupWork[tensors[index].group]
    let kernels = try Catalog.shared().kernels, size = ElementType.size(type) ?? 0
    let probe = group.curvature.map { Probe(tensors[index], seed: group.hyper[$0.seed]) }
    var signs = InlineArray<256, UInt16>(repeating: 0), first = 0
    while let out, first < count {
      let n = min(256, count - first)
      try withUnsafeMutableBytes(of: &signs) { (memory) throws(RavineError) in
        let memory = memory.baseAddress.unsafelyUnwrapped
        probe?.draw(kernels, first, n, memory.assumingMemoryBound(to: UInt16.self))
        try convert(memory, RVN_BF16, out + first * size, type, n)
      }
      first += n
    }
  }

  /// Takes an estimate of curvature for each tensor that has one: the Hessian times the probe vectors,
  /// or its diagonal. Those of tensors whose rule wants none are not looked at.
  public func takeCurvature(
    _ estimates: UnsafeBufferPointer<UnsafeRawPointer?>, products: Bool
  ) throws(RavineError) {
    try checkPoison()
    guard estimates.count == tensors.count else {
      throw .argument("count is \(estimates.count), but there are \(tensors.count) tensors")
    }
    try preparing { () throws(RavineError) in
      guard let plan, let buffers else { throw .memory }
      guard plan.curved else { throw Optimizer.noCurvature }
      try plan.move(to: Double(step))
      buffers.aim()
      try note(estimates, plan)
      connect(plan, buffers, false)
      guard try countNonfinite(buffers) == 0 else {
        throw nonfinite(
          buffers, column: 0, Text(), what: products ? "Hessian product" : "Hessian diagonal")
      }
      try run(Phase(kind: .curve, number: products ? 1 : 0), buffers)
      for i in 0..<tensors.count where tensors[i].grad != nil {
        tensors[i].curved += 1
        tensors[i].grad = nil
      }
    }
  }

  /// Puts estimates in the place of gradients, and makes what the pass needs.
  private func note(
    _ estimates: UnsafeBufferPointer<UnsafeRawPointer?>, _ plan: Plan
  ) throws(RavineError) {
    let all = tensors.base.unsafelyUnwrapped
    for i in 0..<tensors.count {
      let tensor = all + i, given = estimates[i], group = plan.groupWork[tensor.pointee.group]
      guard given == nil || !tensor.pointee.removed else {
        throw .argument("the curvature of tensor \(i) is not NULL, but it was removed")
      }
      tensor.pointee.grad = nil
      guard let given, let curvature = group.curvature else { continue }
      guard ElementType.aligned(given, tensor.pointee.givenType) else {
        throw .argument(
          "tensor '\(tensor.pointee.text)': its curvature is not aligned to its elements")
      }
      tensor.pointee.grad = given
      tensor.pointee.gradType = tensor.pointee.givenType
      tensor.pointee.sum = nil
      tensor.pointee.origin = nil
      tensor.pointee.first = 0
      let shares = curvature.means.shares(
        group.hyper[curvature.decay], Double(tensor.pointee.curved + 1))
      tensor.pointee.ownConstants.unsafelyUnwrapped.storeBytes(
        of: Estimate(
          kept: shares.kept, fresh: shares.fresh,
          probe: Probe(tensor.pointee, seed: group.hyper[curvature.seed])), as: Estimate.self)
    }
  }

  /// A rule that steps by curvature must have been given some.
  func checkCurvature(_ plan: Plan, _ buffers: Buffers) throws(RavineError) {
    guard plan.curved else { return }
    let all = buffers.work.pointee.tensors
    for i in 0..<buffers.work.pointee.tensorCount where all[i].grad != nil && all[i].curved == 0 {
      let group = plan.groupWork[all[i].group]
      guard group.curvature != nil else { continue }
      throw RavineError(
        RVN_ERR_NEEDS,
        "\(plan.catalog.rule(group.rule).declaration.name) needs curvature of '\(all[i].text)' before its first step: give a Hessian product or diagonal to rvn_optimizer_curvature"
      )
    }
  }

  private static var noCurvature: RavineError {
    .state("no rule of the recipe steps by curvature; the catalog says which ones need it")
  }
}

extension Piece {
  /// Takes an estimate of a block into the mean of them.
  func curve(_ block: Int) {
    guard let curvature = group.pointee.curvature else { return }
    let estimate = tensor.pointee.ownConstants.unsafelyUnwrapped.load(as: Estimate.self)
    let n = length(block), padded = (n + 15) & ~15, lane = tensor.pointee.lane
    let d = lanes(tensor.pointee.grad.unsafelyUnwrapped, tensor.pointee.gradType, block, scratch.g)
    var signs: UnsafeRawPointer?
    if work.pointee.phase.number == 1 {
      let drawn = scratch.raw.assumingMemoryBound(to: UInt16.self)
      estimate.probe.draw(work.pointee.kernels, block * RAVINE_BLOCK, padded, drawn)
      work.pointee.kernels.load[2 * Int(RVN_BF16) + wide].unsafelyUnwrapped(
        drawn, scratch.p, padded)
      signs = UnsafeRawPointer(scratch.p)
    }
    let mean = tensor.pointee.slots.unsafelyUnwrapped[curvature.slot].unsafelyUnwrapped
    curvature.means.take(
      wide: wide, d, signs: signs, kept: estimate.kept, fresh: estimate.fresh,
      mean + block * RAVINE_BLOCK * lane, padded)
    countBytes(2 * n * lane)
  }
}
