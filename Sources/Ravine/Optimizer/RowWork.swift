import CRavine
import CShims
import Kernels

/// Some rows of a tensor as if they were a tensor of their own, as the engine sees them. Workers
/// gather a run of its elements, let the rule work on it, and scatter what it made of it.
struct RowWork: BitwiseCopyable {
  /// Elements of a row.
  var length: Int
  /// The tensor's own row for each row here, in the order in which they were first named.
  var rows: UnsafeMutablePointer<Int>
  /// The first gradient of each row here, and behind each gradient the next of the same row; -1: none.
  var first: UnsafeMutablePointer<Int>
  var next: UnsafeMutablePointer<Int>
  var grads: UnsafeRawPointer
  var gradType: Int32
  /// Slots that there is memory for, and those of the tensor in hand.
  var slots: Int
  var used = 0
  var memory: UnsafeMutableRawPointer

  /// Elements that are gathered at a time: four arrays of Float fit a second-level cache many times.
  static let run = 4 * RAVINE_BLOCK
  private static let array = run * 8

  /// Bytes that a worker needs.
  static func size(slots: Int) -> Int { (4 + slots) * array + 1024 }

  func run(
    _ tensor: UnsafeMutablePointer<Tensor>, _ first: Int, _ blocks: Int,
    _ work: UnsafePointer<Work>, _ scratch: Scratch
  ) {
    let step = RowWork.run / RAVINE_BLOCK
    var at = first
    while at < first + blocks {
      let n = min(step, first + blocks - at)
      Gathered(
        work: work, rows: self, tensor: tensor.pointee, at: at, blocks: n,
        base: memory + scratch.worker * RowWork.size(slots: slots)
      ).run(scratch)
      at += n
    }
  }

  /// A run of elements, and the scratch of the worker that has it.
  private struct Gathered {
    let work: UnsafePointer<Work>
    let rows: RowWork
    let tensor: Tensor
    let at: Int
    let blocks: Int
    let base: UnsafeMutableRawPointer

    var p: UnsafeMutableRawPointer { base }
    var g: UnsafeMutableRawPointer { base + RowWork.array }
    var sum: UnsafeMutablePointer<Double> {
      (base + 2 * RowWork.array).assumingMemoryBound(to: Double.self)
    }
    var term: UnsafeMutablePointer<Double> {
      (base + 3 * RowWork.array).assumingMemoryBound(to: Double.self)
    }
    func slot(_ k: Int) -> UnsafeMutableRawPointer { base + (4 + k) * RowWork.array }
    /// Room for two groups of lanes, and for pointers to the slots.
    var spare: UnsafeMutableRawPointer { base + (4 + rows.slots) * RowWork.array }
    var pointers: UnsafeMutablePointer<UnsafeMutableRawPointer?> {
      (spare + 512).assumingMemoryBound(to: UnsafeMutableRawPointer?.self)
    }

    var start: Int { at * RAVINE_BLOCK }
    var end: Int { min((at + blocks) * RAVINE_BLOCK, tensor.count) }

    func run(_ scratch: Scratch) {
      let updates = work.pointee.phase.kind == .update
      gatherGradient()
      if updates || readsParameters { moveParameters(gather: true) }
      if updates { moveState(gather: true) }
      var own = tensor
      own.count = end - start
      own.firstBlock += at
      own.drawn = at
      own.data = p
      own.grad = UnsafeRawPointer(g)
      own.gradType = tensor.laneType
      own.slots = pointers
      withUnsafeMutablePointer(to: &own) {
        Piece(work: work, tensor: $0, scratch: scratch).run(0, blocks)
      }
      if updates {
        moveParameters(gather: false)
        moveState(gather: false)
      }
    }

    /// Whether a stage before the rule wants the parameters.
    private var readsParameters: Bool {
      for k in 0..<work.pointee.before where work.pointee.stages[k].reads { return true }
      return false
    }

    /// The runs of elements that lie together: their place here, their row, the first of their
    /// columns, and how many.
    @inline(__always)
    private func each(_ body: (_ place: Int, _ row: Int, _ column: Int, _ n: Int) -> Void) {
      var e = start
      while e < end {
        let row = e / rows.length, column = e - row * rows.length
        let n = min(rows.length - column, end - e)
        body(e - start, row, column, n)
        e += n
      }
    }

    private func moveParameters(gather: Bool) {
      let size = ElementType.size(tensor.type).unsafelyUnwrapped
      move(tensor.data.unsafelyUnwrapped, p, size, gather)
    }

    private func moveState(gather: Bool) {
      for k in 0..<rows.used {
        let array = tensor.slots.unsafelyUnwrapped[k]
        pointers[k] = array == nil ? nil : slot(k)
        guard let array else { continue }
        let type = tensor.types.unsafelyUnwrapped[k]
        move(array, slot(k), SlotType.size(type), gather)
        if SlotType.quantized(type) { moveScales(array, slot(k), gather) }
      }
    }

    /// Of rows that have whole groups.
    private func moveScales(
      _ array: UnsafeMutableRawPointer, _ here: UnsafeMutableRawPointer, _ gather: Bool
    ) {
      // Behind the codes of the whole tensor, and behind those of the run.
      let scales = array + Int(tensor.shape[0]) * rows.length, own = here + (end - start)
      let group = RAVINE_QUANTIZED
      each { place, row, column, n in
        let there = scales + (rows.rows[row] * rows.length + column) / group * 4
        let mine = own + place / group * 4
        memcpy(gather ? mine : there, gather ? there : mine, n / group * 4)
      }
    }

    private func move(
      _ array: UnsafeMutableRawPointer, _ here: UnsafeMutableRawPointer, _ size: Int, _ gather: Bool
    ) {
      each { place, row, column, n in
        let there = array + (rows.rows[row] * rows.length + column) * size
        if gather {
          memcpy(here + place * size, there, n * size)
        } else {
          memcpy(there, here + place * size, n * size)
        }
      }
    }

    /// The gradients of each row, those of a row that is named more than once added in Float64 in
    /// their order.
    private func gatherGradient() {
      let size = ElementType.size(rows.gradType).unsafelyUnwrapped, wide = tensor.wide
      each { place, row, column, n in
        var k = rows.first[row]
        let there = rows.grads + (k * rows.length + column) * size
        if rows.next[k] < 0 {
          load(there, wide, g + place * tensor.lane, n)
          return
        }
        load(there, 1, sum, n)
        k = rows.next[k]
        while k >= 0 {
          load(rows.grads + (k * rows.length + column) * size, 1, term, n)
          for i in 0..<n { sum[i] += term[i] }
          k = rows.next[k]
        }
        store(sum, g + place * tensor.lane, n)
      }
    }

    /// Converts gradients to the arithmetic type `wide`.
    private func load(
      _ from: UnsafeRawPointer, _ wide: Int, _ to: UnsafeMutableRawPointer, _ n: Int
    ) {
      let size = ElementType.size(rows.gradType).unsafelyUnwrapped
      if rows.gradType == (wide == 1 ? RVN_F64 : RVN_F32) {
        memcpy(to, from, n * size)
        return
      }
      let kernel = work.pointee.kernels.load[2 * Int(rows.gradType) + wide].unsafelyUnwrapped
      convert(kernel, from, size, to, wide == 1 ? 8 : 4, n)
    }

    private func store(_ from: UnsafePointer<Double>, _ to: UnsafeMutableRawPointer, _ n: Int) {
      if tensor.wide == 1 {
        memcpy(to, from, 8 * n)
      } else {
        let kernel = work.pointee.kernels.store[2 * Int(RVN_F32) + 1].unsafelyUnwrapped
        convert(kernel, from, 8, to, 4, n)
      }
    }

    /// Whole groups of lanes where they lie; the rest by way of a padded one.
    private func convert(
      _ kernel: ravine_convert_kernel, _ from: UnsafeRawPointer, _ fromSize: Int,
      _ to: UnsafeMutableRawPointer, _ toSize: Int, _ n: Int
    ) {
      let whole = n & ~15
      if whole > 0 { kernel(from, to, whole) }
      if whole == n { return }
      memcpy(spare, from + whole * fromSize, (n - whole) * fromSize)
      kernel(spare, spare + 128, 16)
      memcpy(to + whole * toSize, spare + 128, (n - whole) * toSize)
    }
  }

  /// The gradient of element e, as the arithmetic sees it.
  func gradient(_ tensor: Tensor, _ e: Int) -> Double {
    let size = ElementType.size(gradType).unsafelyUnwrapped
    let row = e / length, column = e - row * length
    var k = first[row], x = 0.0
    while k >= 0 {
      x += element(grads + k * length * size, gradType, column)
      k = next[k]
    }
    return tensor.wide == 0 ? Double(Float(x)) : x
  }

  /// The sentence about the first element that is not finite.
  func nonfinite(_ tensor: Tensor, _ more: Text) -> RavineError {
    for e in 0..<tensor.count {
      let row = e / length, column = e - row * length
      let x = gradient(tensor, e)
      if x.isFinite { continue }
      return RavineError(
        RVN_ERR_NONFINITE,
        "the gradient of '\(tensor.text)' is \(x) at element \(column) of row \(rows[row])\(more)")
    }
    return RavineError(RVN_ERR_NONFINITE, "the gradient is not finite\(more)")
  }
}
