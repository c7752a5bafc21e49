import CRavine
import CShims
import Kernels

extension Optimizer {
  func isRaw(_ stage: Int, _ plan: Plan) -> Bool {
    for k in 0..<stage
    where !plan.stageWork[k].prepares
      && (plan.stageWork[k].transforms || plan.stageWork[k].scales)
    {
      return false
    }
    return true
  }

  /// Whether a stage measures the norm of the gradient as it was given.
  func isMeasured(_ plan: Plan) -> Bool {
    for k in 0..<plan.stageCount
    where plan.stageWork[k].measurement == Measurement.squares.rawValue && isRaw(k, plan) {
      return true
    }
    return false
  }

  func measureReport(_ plan: Plan, _ buffers: Buffers, _ report: inout StepReport)
    throws(RavineError)
  {
    var gradient = 0.0, update = 0.0
    let sums = buffers.work.pointee.reportSums
    let all = buffers.work.pointee.tensors
    for i in 0..<buffers.work.pointee.tensorCount where all[i].grad != nil {
      for b in all[i].sums {
        gradient += sums[2 * b]
        update += sums[2 * b + 1]
      }
    }
    report.updateNorm = update.squareRoot()
    if report.skipped != .no || !isMeasured(plan) {
      report.gradNorm = gradient.squareRoot()
    }
    if !gradient.isFinite, report.nonfinite == 0 {
      do throws(RavineError) {
        report.nonfinite = try countNonfinite(buffers)
      } catch {
        poisoned = true  // the pass before this one wrote
        throw error
      }
    }
  }

  /// How many elements of the gradients as they were given are not finite: a pass of its own, made
  /// only where the sum of squares says that there are some.
  func countNonfinite(_ buffers: Buffers) throws(RavineError) -> UInt64 {
    try run(Phase(kind: .count, number: 0), buffers)
    var count = 0.0
    let all = buffers.work.pointee.tensors
    for i in 0..<buffers.work.pointee.tensorCount where all[i].grad != nil {
      for b in all[i].sums { count += buffers.work.pointee.chainSums[b] }
    }
    return UInt64(count)
  }

  /// The sentence about the first element that is not finite.
  func nonfinite(
    _ buffers: Buffers, column: Int, _ more: Text, what: StaticText = "gradient"
  ) -> RavineError {
    if let rows = buffers.work.pointee.rows {
      return rows.pointee.nonfinite(buffers.work.pointee.tensors[0], more)
    }
    let sums = buffers.work.pointee.chainSums + column * buffers.blocks
    let tensors = buffers.work.pointee.tensors
    for i in 0..<buffers.work.pointee.tensorCount where tensors[i].grad != nil {
      for b in tensors[i].sums where sums[b] > 0 {
        let start = (b - tensors[i].firstBlock) * RAVINE_BLOCK
        guard start >= 0, start < tensors[i].count else {
          return RavineError(
            RVN_ERR_NONFINITE,
            "the \(what) of '\(tensors[i].text)' is not finite in the shard of another rank\(more)"
          )
        }
        for k in start..<min(start + RAVINE_BLOCK, tensors[i].count) {
          // As the arithmetic sees it: 1e300 is not finite in Float.
          let given = element(tensors[i].grad.unsafelyUnwrapped, tensors[i].gradType, k)
          let x = tensors[i].wide == 1 ? given : Double(Float(given))
          if x.isFinite { continue }
          return RavineError(
            RVN_ERR_NONFINITE,
            "the \(what) of '\(tensors[i].text)' is \(x) at index \(tensors[i].begin + k)\(more)")
        }
      }
    }
    return RavineError(RVN_ERR_NONFINITE, "the gradient is not finite\(more)")
  }
}

/// Element k of an array of a storage type.
func element(_ base: UnsafeRawPointer, _ type: Int32, _ k: Int) -> Double {
  switch type {
  case RVN_F64: return base.load(fromByteOffset: 8 * k, as: Double.self)
  case RVN_F32: return Double(base.load(fromByteOffset: 4 * k, as: Float.self))
  case RVN_BF16:
    return Double(
      Float(bitPattern: UInt32(base.load(fromByteOffset: 2 * k, as: UInt16.self)) << 16))
  default:
    let h = UInt32(base.load(fromByteOffset: 2 * k, as: UInt16.self))
    let magnitude = h & 0x7fff
    if magnitude >= 0x7c00 {
      return magnitude > 0x7c00 ? .nan : h >> 15 == 0 ? .infinity : -.infinity
    }
    let x = Float(bitPattern: magnitude << 13) * 0x1p112
    return Double(h >> 15 == 0 ? x : -x)
  }
}
