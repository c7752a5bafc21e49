import CShims

#if BASELINE
/// How the moments by row and by column of a tensor move, and what is made of them.
public struct Factoring: Sendable {
  /// Share of the new mean of squares.
  public let fresh: Double
  /// What is added to each square.
  public let added: Double
  /// The least mean over all rows that one of them is divided by.
  public let leastMean: Double
  /// The largest 1 / sqrt(v).
  public let most: Double

  public init(fresh: Double, added: Double, leastMean: Double, most: Double) {
    self.fresh = fresh
    self.added = added
    self.leastMean = leastMean
    self.most = most
  }
}
#endif

/// Adds up squares over the pieces of rows that a block has, and adds the block to the sums of the
/// columns. A row that lies in it whole gets its sum at once; the parts of one that began before, and of
/// one that goes on, are kept apart, to be added in order.
@inline(never)
func measureFactors<T: Scalar>(_: T.Type, _ call: UnsafePointer<ravine_factor_call>) {
  let x = call.pointee.x.assumingMemoryBound(to: T.self)
  let columns = call.pointee.columns
  let rows = call.pointee.row_sums.unsafelyUnwrapped
  let edges = call.pointee.edges.unsafelyUnwrapped
  let own = call.pointee.column_sums.unsafelyUnwrapped
  eachPiece(call.pointee.first, call.pointee.count, columns) { row, column, start, length in
    let matrix = row / call.pointee.rows &- call.pointee.matrix
    var sums = own + (matrix &* columns &+ column)
    var squares = LaneSums()
    var i = 0
    while i < length {
      T.widen(T.first(length &- i, of: loadLanes(x + (start &+ i)))) {
        let square = $0 * $0
        squares.add(square, at: i, group: $1)
        storeLanes(loadLanes(sums) + square, sums)
        sums += Double.Lanes.scalarCount
      }
      i &+= T.Lanes.scalarCount
    }
    (column != 0 ? edges : length == columns ? rows + row : edges + 1)[0] = squares.total
  }
}

/// out = min(row weight * column weight, most): what stands for 1 / sqrt(v) of each element.
@inline(never)
func weighFactors<T: Scalar>(_: T.Type, _ call: UnsafePointer<ravine_factor_call>) {
  let out = call.pointee.out.assumingMemoryBound(to: T.self)
  let rows = call.pointee.row_weights.assumingMemoryBound(to: T.self)
  let all = call.pointee.column_weights.assumingMemoryBound(to: T.self)
  let columns = call.pointee.columns, most = T.splat(T(call.pointee.most))
  eachPiece(call.pointee.first, call.pointee.count, columns) { row, column, start, length in
    let weight = rows[row]
    let own = all + (row / call.pointee.rows &* columns &+ column)
    var i = 0
    while i < length {
      let x = weight * loadLanes(own + i), place = out + (start &+ i)
      let capped = choose(x, greaterThan: most, most, else: x)
      storeLanes(T.splice(capped, first: length &- i, then: loadLanes(place)), place)
      i &+= T.Lanes.scalarCount
    }
  }
}
