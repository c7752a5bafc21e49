import CRavine
import CShims
import Kernels

/// Some blocks of one tensor.
struct Piece {
  let work: UnsafePointer<Work>
  let tensor: UnsafePointer<Tensor>
  let scratch: Scratch
  let group: UnsafePointer<GroupWork>
  let wide: Int

  init(work: UnsafePointer<Work>, tensor: UnsafeMutablePointer<Tensor>, scratch: Scratch) {
    self.work = work
    self.tensor = UnsafePointer(tensor)
    self.scratch = scratch
    group = UnsafePointer(work.pointee.groups + tensor.pointee.group)
    wide = tensor.pointee.wide
  }

  @_optimize(speed)
  func run(_ first: Int, _ blocks: Int) {
    switch work.pointee.phase.kind {
    case .count:
      countBytes(gradient: blocks, first)
      measure(Measurement.nonfinite.rawValue, 0, first, blocks, into: work.pointee.chainSums)
    case .measure:
      // In runs that stay in the cache: what is measured in one phase is read from memory once.
      var at = first
      while at < first + blocks {
        let run = min(Piece.cached, first + blocks - at)
        countBytes(gradient: run, at)
        measureAll(at, run)
        at += run
      }
    case .settle:
      if isElsewhere { return }
      countBytes(gradient: blocks, first)
      countBytes(parameters: blocks, first, times: 1)
      for block in first..<first + blocks { settle(block) }
    case .update:
      if isElsewhere { return }
      if let watch = work.pointee.watch {
        update(first, blocks, for: watch)
      } else {
        update(first, blocks)
      }
    case .look:
      look(first, blocks)
    case .direct:
      countBytes(gradient: blocks, first)
      for block in first..<first + blocks { direct(block) }
    case .probe:
      countBytes(gradient: blocks, first)
      for block in first..<first + blocks { probe(block) }
    case .perturb:
      countBytes(gradient: blocks, first)
      for block in first..<first + blocks { perturb(block) }
    case .restore:
      // Number 1: all; else those that the step did not write to.
      if work.pointee.phase.number == 0, tensor.pointee.grad != nil { return }
      for block in first..<first + blocks { restore(block) }
    case .accumulate:
      countBytes(gradient: blocks, first)
      for block in first..<first + blocks { accumulate(block) }
    case .curve:
      countBytes(gradient: blocks, first)
      for block in first..<first + blocks { curve(block) }
    }
  }

  // MARK: gradients

  func length(_ block: Int) -> Int {
    min(RAVINE_BLOCK, tensor.pointee.count - block * RAVINE_BLOCK)
  }

  /// A block of the caller's memory as whole groups of lanes of the arithmetic: where it lies, or
  /// padded and converted in scratch.
  func lanes(
    _ base: UnsafeRawPointer, _ type: Int32, _ block: Int, _ target: UnsafeMutableRawPointer
  ) -> UnsafeRawPointer {
    let size = ElementType.size(type).unsafelyUnwrapped
    let n = length(block), padded = (n + 15) & ~15
    let source = base + block * RAVINE_BLOCK * size
    let same = type == tensor.pointee.laneType
    if n == padded, same { return source }
    var from = source
    if n != padded {
      let copy = same ? target : scratch.raw
      memcpy(copy, source, n * size)
      memset(copy + n * size, 0, (padded - n) * size)
      from = UnsafeRawPointer(copy)
    }
    if !same {
      work.pointee.kernels.load[2 * Int(type) + wide].unsafelyUnwrapped(from, target, padded)
    }
    return UnsafeRawPointer(target)
  }

  /// The stages before `end` that the gradient still has to pass.
  func stages(upTo end: Int) -> Range<Int> {
    tensor.pointee.first..<max(end, tensor.pointee.first)
  }

  func stageConstants(_ k: Int) -> UnsafeRawPointer {
    UnsafeRawPointer(group.pointee.stageConstants + (2 * k + wide) * RAVINE_MAX_CONSTANTS)
  }

  /// The gradient of a block as stage `stage` receives it, and the factor still to be put on it.
  func gradient(_ block: Int, upTo stage: Int) -> (UnsafeRawPointer, Double) {
    var p: UnsafeRawPointer?
    var g = lanes(tensor.pointee.grad.unsafelyUnwrapped, tensor.pointee.gradType, block, scratch.g)
    var factor = 1.0
    let padded = (length(block) + 15) & ~15
    for k in stages(upTo: stage) {
      let s = work.pointee.stages[k]
      if s.accumulates, let sum = tensor.pointee.sum {
        add(g, factor, k, sum + block * RAVINE_BLOCK * tensor.pointee.lane, scratch.g, padded)
        g = UnsafeRawPointer(scratch.g)
        factor = 1
      }
      if s.scales { factor *= s.factor }
      if s.units >= 0 {
        g = changeUnits(k, block, g, factor)
        factor = 1
      } else if s.transforms {
        if s.draws >= 0 {
          p = normals(s, block)
        } else if s.reads {
          p = parameters(block)
        }
        if let host = s.host {
          transform(host, k, block, g, factor, p ?? g, scratch.g)
        } else {
          work.pointee.kernels.stage[2 * s.row + wide].unsafelyUnwrapped(
            stageConstants(k), g, p ?? g, factor, scratch.g, padded)
        }
        g = UnsafeRawPointer(scratch.g)
        factor = 1
      }
    }
    return (g, factor)
  }

  /// Normal random numbers for a block, in scratch: they hang on the seed, the tensor's name, the step,
  /// their place, and which of such stages it is.
  private func normals(_ stage: StageWork, _ block: Int) -> UnsafeRawPointer {
    let n = length(block), padded = (n + 15) & ~15
    let random = Philox(seed: stage.seed, .gradientNoise)
      .child(tensor.pointee.hash).child(
        work.pointee.step, work.pointee.call << 8 | UInt64(stage.draws))
    let out = wide == 1 ? scratch.p : scratch.raw
    random.normals(
      (tensor.pointee.drawn + block) * RAVINE_BLOCK, n, out.assumingMemoryBound(to: Double.self))
    memset(out + 8 * n, 0, 8 * (padded - n))
    if wide == 0 {
      work.pointee.kernels.load[2 * Int(RVN_F64)].unsafelyUnwrapped(out, scratch.p, padded)
    }
    return UnsafeRawPointer(scratch.p)
  }

  /// A block times a factor, in scratch.
  func scaled(_ g: UnsafeRawPointer, _ factor: Double, _ block: Int) -> UnsafeRawPointer {
    scale(g, factor, scratch.g, (length(block) + 15) & ~15)
    return UnsafeRawPointer(scratch.g)
  }

  func scale(
    _ g: UnsafeRawPointer, _ factor: Double, _ out: UnsafeMutableRawPointer, _ padded: Int
  ) {
    work.pointee.kernels.stage[2 * work.pointee.scaleRow + wide].unsafelyUnwrapped(
      nil, g, nil, factor, out, padded)
  }

  func unchanged(before stage: Int) -> Bool {
    for k in stages(upTo: stage)
    where work.pointee.stages[k].transforms || work.pointee.stages[k].scales {
      return false
    }
    return true
  }

  /// The scalar factors of the stages before `end`.
  func factor(upTo end: Int) -> Double {
    var factor = 1.0
    for k in stages(upTo: end)
    where work.pointee.stages[k].scales {
      factor *= work.pointee.stages[k].factor
    }
    return factor
  }

  /// For the report: the squares of a block of the gradient at its true size, which stage k takes.
  func measureGradient(_ block: Int, before k: Int, _ sums: UnsafeMutablePointer<Double>) {
    let (g, factor) = gradient(block, upTo: min(k, work.pointee.prepared))
    work.pointee.kernels.measure[wide].unsafelyUnwrapped(g, 1, (length(block) + 15) & ~15, sums)
    sums[0] *= factor * factor
    sums[1] = 0
  }

  func reportSums(_ block: Int) -> UnsafeMutablePointer<Double>? {
    guard work.pointee.reporting else { return nil }
    return work.pointee.reportSums + 2 * (tensor.pointee.firstBlock + block)
  }

  // MARK: the counter of bytes that tests read

  @inline(__always)
  func countBytes(gradient blocks: Int, _ first: Int) {
    #if COUNT_BYTES
    Ravine.countBytes(elements(first, blocks) * (ElementType.size(tensor.pointee.gradType) ?? 0))
    #endif
  }

  @inline(__always)
  func countBytes(parameters blocks: Int, _ first: Int, times: Int) {
    #if COUNT_BYTES
    Ravine.countBytes(
      elements(first, blocks) * (ElementType.size(tensor.pointee.type) ?? 0) * times)
    #endif
  }

  @inline(__always)
  func countBytes(_ n: Int) {
    #if COUNT_BYTES
    Ravine.countBytes(n)
    #endif
  }

  func elements(_ first: Int, _ blocks: Int) -> Int {
    min((first + blocks) * RAVINE_BLOCK, tensor.pointee.count) - first * RAVINE_BLOCK
  }
}

#if COUNT_BYTES
nonisolated(unsafe) private var byteCount = 0

/// Bytes of the caller's arrays and of state that were read or written.
func countBytes(_ n: Int) { _ = ravine_add(&byteCount, n) }

func bytesMoved() -> Int { Int(ravine_load(&byteCount)) }
#endif
