import CShims
import Kernels

/// What a stage that changes gradients by unit keeps of one tensor: sums, and what it made of them.
struct UnitWork: BitwiseCopyable {
  /// How many units there are; 0: the stage leaves the tensor alone.
  var units = 0
  /// The tensor as a matrix: elements of a row.
  var columns = 0
  var byColumn = false
  /// Blocks whose columns are added up by themselves.
  var chunk = 1
  /// Three for each row; or for each chunk three arrays of columns.
  var sums: UnsafeMutablePointer<Double>?
  /// Six for each block.
  var edges: UnsafeMutablePointer<Double>?
  /// What becomes of each unit, in the type of the arithmetic.
  var shift, scale: UnsafeMutableRawPointer?

  /// Sums of a chunk: three arrays of columns, and room for the lanes behind the last.
  private var stride: Int { 3 * columns + 16 }

  /// For one stage and one tensor.
  static func make(_ units: Units, _ tensor: Tensor, _ heap: Heap) throws(RavineError) -> UnitWork {
    var out = UnitWork()
    guard tensor.count > 0, tensor.rank > 1 || units.vectors else { return out }
    // A vector is one row, whichever axis counts.
    out.byColumn = units.columns && tensor.rank > 1
    let rows: Int
    if out.byColumn {
      out.columns = Int(tensor.shape[tensor.rank - 1])
      rows = tensor.count / out.columns
    } else {
      rows = tensor.rank > 1 ? Int(tensor.shape[0]) : 1
      out.columns = tensor.count / rows
    }
    out.units = out.byColumn ? out.columns : rows
    out.chunk = UnitWork.chunk(tensor)
    if out.byColumn {
      out.sums = try heap.zeros(Double.self, UnitWork.chunks(tensor) * out.stride)
    } else {
      out.sums = try heap.zeros(Double.self, 3 * rows)
      out.edges = try heap.zeros(Double.self, 6 * tensor.blocks)
    }
    let size = (out.units + 16) * tensor.lane
    out.shift = UnsafeMutableRawPointer(try heap.zeros(UInt8.self, size))
    out.scale = UnsafeMutableRawPointer(try heap.zeros(UInt8.self, size))
    return out
  }

  /// Blocks of a tensor whose columns one worker adds up: at most sixteen runs, and no more than keep
  /// the sums small beside the tensor. It depends on the shape alone, so that the bytes do.
  static func chunk(_ tensor: Tensor) -> Int {
    guard tensor.rank > 1, tensor.count > 0 else { return max(1, tensor.blocks) }
    let rows = tensor.count / Int(tensor.shape[tensor.rank - 1])
    let chunks = max(1, min(16, min(tensor.blocks / 64, rows / 32)))
    return (tensor.blocks + chunks - 1) / chunks
  }

  /// How many such runs there are.
  static func chunks(_ tensor: Tensor) -> Int {
    let chunk = chunk(tensor)
    return (tensor.blocks + chunk - 1) / chunk
  }

  /// Before the blocks of a step are added to them.
  func clear(_ tensor: Tensor) {
    guard byColumn, let sums else { return }
    sums.update(repeating: 0, count: UnitWork.chunks(tensor) * stride)
  }

  /// Adds the parts of each unit in their order.
  func join(_ tensor: Tensor) {
    guard let sums else { return }
    if byColumn {
      for c in 1..<max(1, UnitWork.chunks(tensor)) {
        for k in 0..<3 * columns { sums[k] += sums[c * stride + k] }
      }
      return
    }
    for b in 0..<tensor.blocks {
      let first = b * RAVINE_BLOCK, end = min(first + RAVINE_BLOCK, tensor.count)
      let row = first / columns, last = (end - 1) / columns
      let edge = edges.unsafelyUnwrapped + 6 * b
      if row * columns < first { for k in 0..<3 { sums[3 * row + k] += edge[k] } }
      if last * columns >= first, (last + 1) * columns > end {
        for k in 0..<3 { sums[3 * last + k] = edge[3 + k] }
      }
    }
  }

  /// The sums of unit u.
  func sums(_ u: Int, _ tensor: Tensor) -> UnitSums {
    let s = sums.unsafelyUnwrapped
    let count = Double(tensor.count / units)
    return byColumn
      ? UnitSums(
        values: s[u], squares: s[columns + u], parameterSquares: s[2 * columns + u], count: count)
      : UnitSums(
        values: s[3 * u], squares: s[3 * u + 1], parameterSquares: s[3 * u + 2], count: count)
  }

  func set(_ u: Int, _ change: UnitChange, wide: Bool) {
    guard let shift, let scale else { return }
    if wide {
      shift.assumingMemoryBound(to: Double.self)[u] = change.shift
      scale.assumingMemoryBound(to: Double.self)[u] = change.scale
    } else {
      shift.assumingMemoryBound(to: Float.self)[u] = Float(change.shift)
      scale.assumingMemoryBound(to: Float.self)[u] = Float(change.scale)
    }
  }

  /// A call for one block.
  func call(_ tensor: Tensor, _ block: Int) -> ravine_unit_call {
    let first = block * RAVINE_BLOCK
    let chunkSums = byColumn ? sums.map { $0 + block / chunk * stride } : sums
    return ravine_unit_call(
      x: nil, p: nil, out: nil, first: first, count: min(RAVINE_BLOCK, tensor.count - first),
      columns: columns, sums: chunkSums, edges: edges.map { $0 + 6 * block }, shift: shift,
      scale: scale)
  }
}
