import CRavine
import CShims
import Kernels

/// Passes that only measure.
extension Piece {
  /// Blocks of Double that a second-level cache holds beside other things.
  static let cached = 16

  func measureAll(_ first: Int, _ blocks: Int) {
    for k in 0..<work.pointee.stageCount {
      let stage = work.pointee.stages[k]
      guard stage.phase == work.pointee.phase.number else { continue }
      if stage.units >= 0 {
        for block in first..<first + blocks { measureUnits(k, block) }
      }
      if stage.measurement >= 0 {
        let sums = work.pointee.chainSums + stage.column * work.pointee.blocks
        measure(stage.measurement, k, first, blocks, into: sums)
      }
    }
    if work.pointee.phase.factors, group.pointee.factored {
      for block in first..<first + blocks { measureFactors(block) }
    }
    if work.pointee.phase.ruleMeasures, group.pointee.measures > 0 {
      for block in first..<first + blocks { measureRule(block) }
    }
  }

  /// Measures blocks of the gradient as stage `stage` receives it.
  func measure(
    _ measurement: Int32, _ stage: Int, _ first: Int, _ blocks: Int,
    into sums: UnsafeMutablePointer<Double>
  ) {
    let kernel = work.pointee.kernels.measure[2 * Int(measurement) + wide].unsafelyUnwrapped
    let out = sums + tensor.pointee.firstBlock
    var block = first
    if unchanged(before: stage), tensor.pointee.gradType == tensor.pointee.laneType {
      let whole = min(blocks, tensor.pointee.count >> RAVINE_BLOCK_BITS - first)
      if whole > 0 {
        let start =
          tensor.pointee.grad.unsafelyUnwrapped + first * RAVINE_BLOCK * tensor.pointee.lane
        kernel(start, whole, RAVINE_BLOCK, out + first)
        block += whole
      }
    }
    while block < first + blocks {
      var (g, factor) = gradient(block, upTo: stage)
      let padded = (length(block) + 15) & ~15
      if factor != 1 { g = scaled(g, factor, block) }
      kernel(g, 1, padded, out + block)
      block += 1
    }
  }

  func measureRule(_ block: Int) {
    let (g, factor) = gradient(block, upTo: work.pointee.before)
    let p = parameters(block)
    countBytes(parameters: 1, block, times: 1)
    let sums = work.pointee.ruleSums(tensor.pointee, block)
    var call = self.call(block, length(block), 0, group.pointee.lanes, p, nil, g, factor, sums)
    call.measuring = 1
    work.pointee.kernels.rule[2 * group.pointee.rule + wide].unsafelyUnwrapped(&call)
  }

  /// Measures an update that is made in scratch, on copies of the state, and not stored.
  func settle(_ block: Int) {
    let stage = work.pointee.phase.stage
    let (g, factor) = gradient(block, upTo: work.pointee.before)
    let p = parameters(block)
    let sums = work.pointee.ruleSums(tensor.pointee, block)
    call(block, length(block), p, scratch.new, g, factor, nil)
    follow(upTo: stage, block, length(block), p, scratch.new, g, factor, nil)
    follow(stage, block, length(block), p, scratch.new, g, factor, sums, measuring: true)
  }
}
