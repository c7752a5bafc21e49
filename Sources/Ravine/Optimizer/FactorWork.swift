import CShims
import Kernels

/// What the moments by row and by column of a tensor are made of in a step. The last two axes are
/// matrices, the others count them.
///
/// A step moves the moments here, and `commit` puts them into the state when the update was made.
struct FactorWork: BitwiseCopyable {
  /// Of one matrix, and how many of them; no rows: the tensor has no such moments.
  private var rows = 0, columns = 0, matrices = 0
  private var count = 0
  /// The slot of the rows; that of the columns is the next.
  private var slot = 0
  /// Blocks whose columns are added up by themselves, and how many such runs there are.
  private var chunk = 1, chunks = 0
  /// One for each row: of squares, then the moment.
  private var rowSums: UnsafeMutablePointer<Double>?
  /// Two for each block.
  private var edges: UnsafeMutablePointer<Double>?
  /// For each chunk one for each column of the matrices that it has a part of; then the moments.
  private var columnSums: UnsafeMutablePointer<Double>?
  /// In the type of the arithmetic: their product stands for 1 / sqrt(v).
  private var rowWeights, columnWeights: UnsafeMutableRawPointer?
  private var most = Double.infinity

  static func make(_ tensor: Tensor, slot: Int, _ heap: Heap) throws(RavineError) -> FactorWork {
    var out = FactorWork()
    out.slot = slot
    guard tensor.isFactorable else { return out }
    out.rows = Int(tensor.shape[tensor.rank - 2])
    out.columns = Int(tensor.shape[tensor.rank - 1])
    out.count = tensor.count
    out.matrices = tensor.count / (out.rows * out.columns)
    out.chunk = UnitWork.chunk(tensor)
    out.chunks = UnitWork.chunks(tensor)
    out.rowSums = try heap.zeros(Double.self, out.matrices * out.rows)
    out.edges = try heap.zeros(Double.self, 2 * tensor.blocks)
    out.columnSums = try heap.zeros(Double.self, out.columnRoom)
    out.rowWeights = UnsafeMutableRawPointer(
      try heap.zeros(UInt8.self, out.matrices * out.rows * tensor.lane))
    out.columnWeights = UnsafeMutableRawPointer(
      try heap.zeros(UInt8.self, (out.matrices * out.columns + 16) * tensor.lane))
    return out
  }

  // MARK: sums

  /// The first matrix of a chunk, and the last one.
  private func first(_ c: Int) -> Int { c * chunk * RAVINE_BLOCK / (rows * columns) }
  private func last(_ c: Int) -> Int {
    (min((c + 1) * chunk * RAVINE_BLOCK, count) - 1) / (rows * columns)
  }

  /// Where the sums of a chunk begin: two chunks have at most one matrix in common. Behind them is room
  /// for the lanes behind the last column.
  private func place(_ c: Int) -> Int { (first(c) + c) * columns + 16 * c }

  private var columnRoom: Int { (matrices + chunks) * columns + 16 * chunks }

  /// Before the blocks of a step are added to them.
  func clear() { columnSums?.update(repeating: 0, count: columnRoom) }

  /// Adds the parts of each row and column in their order: sums of matrix after matrix.
  private func join() {
    guard let rowSums, let edges, let columnSums else { return }
    for c in 1..<max(1, chunks) {
      let shared = last(c - 1), own = columnSums + place(c)
      for k in 0..<(last(c) - first(c) + 1) * columns {
        let target = first(c) * columns + k
        columnSums[target] = own[k] + (target < (shared + 1) * columns ? columnSums[target] : 0)
      }
    }
    var begin = 0
    for b in 0..<blockCount(count) {
      let end = min(begin + RAVINE_BLOCK, count)
      let row = begin / columns, last = (end - 1) / columns
      if row * columns < begin { rowSums[row] += edges[2 * b] }
      if last * columns >= begin, (last + 1) * columns > end { rowSums[last] = edges[2 * b + 1] }
      begin = end
    }
  }

  // MARK: moments

  /// Moves the moments by the sums of a step, and makes weights of them.
  mutating func conclude(_ f: Factoring, _ tensor: Tensor) {
    guard let rowSums, let columnSums, let rowWeights, let columnWeights else { return }
    join()
    most = f.most
    let (r, c) = places(tensor)
    move(rowSums, matrices * rows, Double(columns), r, f)
    move(columnSums, matrices * columns, Double(rows), c, f)
    for m in 0..<matrices {
      var sum = 0.0
      for i in m * rows..<(m + 1) * rows { sum += rowSums[i] }
      var mean = sum / Double(rows)
      if mean < f.leastMean { mean = f.leastMean }
      for i in m * rows..<(m + 1) * rows {
        put(1 / (rowSums[i] / mean).squareRoot(), rowWeights, i, tensor.wide)
      }
    }
    for j in 0..<matrices * columns {
      put(1 / columnSums[j].squareRoot(), columnWeights, j, tensor.wide)
    }
  }

  /// Moves each moment toward the mean of squares.
  private func move(
    _ sums: UnsafeMutablePointer<Double>, _ n: Int, _ each: Double, _ old: UnsafePointer<Double>,
    _ f: Factoring
  ) {
    for i in 0..<n { sums[i] = old[i] + f.fresh * (sums[i] / each + f.added - old[i]) }
  }

  /// Puts the moments into the state.
  func commit(_ tensor: Tensor) {
    guard let rowSums, let columnSums else { return }
    let (r, c) = places(tensor)
    r.update(from: rowSums, count: matrices * rows)
    c.update(from: columnSums, count: matrices * columns)
  }

  /// The arrays of state.
  private func places(_ tensor: Tensor) -> (
    rows: UnsafeMutablePointer<Double>, columns: UnsafeMutablePointer<Double>
  ) {
    let slots = tensor.slots.unsafelyUnwrapped
    return (
      slots[slot].unsafelyUnwrapped.assumingMemoryBound(to: Double.self),
      slots[slot + 1].unsafelyUnwrapped.assumingMemoryBound(to: Double.self)
    )
  }

  /// A call for one block.
  func call(_ block: Int) -> ravine_factor_call {
    let first = block * RAVINE_BLOCK, c = block / chunk
    return ravine_factor_call(
      x: nil, out: nil, first: first, count: min(RAVINE_BLOCK, count - first), rows: rows,
      columns: columns, matrix: self.first(c), row_sums: rowSums,
      edges: edges.map { $0 + 2 * block },
      column_sums: columnSums.map { $0 + place(c) }, row_weights: rowWeights,
      column_weights: columnWeights, most: most)
  }
}

/// Puts a number into an array of the type of the arithmetic.
private func put(_ x: Double, _ array: UnsafeMutableRawPointer, _ k: Int, _ wide: Int) {
  if wide == 1 {
    array.storeBytes(of: x, toByteOffset: 8 * k, as: Double.self)
  } else {
    array.storeBytes(of: Float(x), toByteOffset: 4 * k, as: Float.self)
  }
}

extension Piece {
  private var factors: UnsafeMutablePointer<FactorWork> {
    work.pointee.factors + (tensor - UnsafePointer(work.pointee.tensors))
  }

  private func run(_ kernel: Int, _ call: inout ravine_factor_call) {
    let all = work.pointee.kernels.factor
    let pair = kernel == 0 ? (all.0, all.1) : (all.2, all.3)
    (wide == 0 ? pair.0 : pair.1).unsafelyUnwrapped(&call)
  }

  /// Adds up the squares of a block by row and by column.
  @inline(never)
  func measureFactors(_ block: Int) {
    guard tensor.pointee.isFactorable else { return }
    var (g, factor) = gradient(block, upTo: work.pointee.before)
    if g != UnsafeRawPointer(scratch.g) || factor != 1 { g = scaled(g, factor, block) }
    var call = factors.pointee.call(block)
    call.x = g
    run(0, &call)
  }

  /// What stands for 1 / sqrt(v) of each element of a block.
  func weighFactors(_ block: Int, _ out: UnsafeMutableRawPointer) {
    var call = factors.pointee.call(block)
    call.out = out
    run(1, &call)
  }
}

extension Optimizer {
  /// What rules make of the sums by row and by column.
  func concludeFactors(_ plan: Plan, _ buffers: Buffers) {
    let all = buffers.work.pointee.tensors
    for i in 0..<buffers.work.pointee.tensorCount where all[i].grad != nil && all[i].isFactorable {
      let group = plan.groupWork[all[i].group]
      guard let factors = plan.catalog.rule(group.rule).factors else { continue }
      let f = factors.factoring[all[i].wide](group.hyper, Double(all[i].t + 1))
      buffers.work.pointee.factors[i].conclude(f, all[i])
    }
  }
}
