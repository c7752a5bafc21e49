import CShims

/// What is measured of a unit: a row or a column of a tensor that is seen as a matrix.
public struct UnitSums {
  /// Of the gradient; of its squares; of the squares of the parameters.
  public let values, squares, parameterSquares: Double
  public let count: Double

  public init(values: Double, squares: Double, parameterSquares: Double, count: Double) {
    self.values = values
    self.squares = squares
    self.parameterSquares = parameterSquares
    self.count = count
  }
}

/// What becomes of the gradient of a unit: (g - shift) scale.
public struct UnitChange {
  public let shift, scale: Double
}

/// How a stage divides tensors into units.
public struct Units: Sendable {
  /// Whether a unit is all that shares its place on the last axis (a column), and not on the first.
  public let columns: Bool
  /// Whether a vector, or a single number, is one unit; else it is left alone.
  public let vectors: Bool
}

/// Runs over the pieces of rows in a block: `body(row, column, start, length)`, with places in the
/// block.
@inline(__always)
func eachPiece(
  _ call: UnsafePointer<ravine_unit_call>, _ body: (Int, Int, Int, Int) -> Void
) {
  eachPiece(call.pointee.first, call.pointee.count, call.pointee.columns, body)
}

@inline(__always)
func eachPiece(
  _ first: Int, _ count: Int, _ columns: Int, _ body: (Int, Int, Int, Int) -> Void
) {
  var at = 0
  var row = first / columns
  var column = first &- row &* columns
  while at < count {
    let length = min(columns &- column, count &- at)
    body(row, column, at, length)
    at &+= length
    row &+= 1
    column = 0
  }
}

/// Measures the rows that a block has a part of. A row that lies in it whole gets its sums at once;
/// the parts of one that began before, and of one that goes on, are kept apart, to be added in order.
@inline(never)
func measureRows<T: Scalar>(_: T.Type, _ call: UnsafePointer<ravine_unit_call>) {
  let x = call.pointee.x.assumingMemoryBound(to: T.self)
  let p = call.pointee.p.assumingMemoryBound(to: T.self)
  let columns = call.pointee.columns
  let rows = call.pointee.sums.unsafelyUnwrapped, edges = call.pointee.edges.unsafelyUnwrapped
  eachPiece(call) { row, column, start, length in
    var values = LaneSums(), squares = LaneSums(), parameters = LaneSums()
    var i = 0
    while i < length {
      let g: T.Lanes = loadLanes(x + (start &+ i))
      values.add(T.self, g, valid: length &- i, at: i)
      squares.addSquares(T.self, g, valid: length &- i, at: i)
      parameters.addSquares(T.self, loadLanes(p + (start &+ i)), valid: length &- i, at: i)
      i &+= T.Lanes.scalarCount
    }
    let out = column != 0 ? edges : length == columns ? rows + 3 &* row : edges + 3
    out[0] = values.total
    out[1] = squares.total
    out[2] = parameters.total
  }
}

/// Adds a block to the sums of the columns, of which there are three arrays.
@inline(never)
func measureColumns<T: Scalar>(_: T.Type, _ call: UnsafePointer<ravine_unit_call>) {
  let x = call.pointee.x.assumingMemoryBound(to: T.self)
  let p = call.pointee.p.assumingMemoryBound(to: T.self)
  let values = call.pointee.sums.unsafelyUnwrapped
  let squares = values + call.pointee.columns, parameters = squares + call.pointee.columns
  eachPiece(call) { _, column, start, length in
    var i = 0
    while i < length {
      let g = T.first(length &- i, of: loadLanes(x + (start &+ i)))
      let w = T.first(length &- i, of: loadLanes(p + (start &+ i)))
      add(T.self, g, to: values + (column &+ i)) { $0 }
      add(T.self, g, to: squares + (column &+ i)) { $0 * $0 }
      add(T.self, w, to: parameters + (column &+ i)) { $0 * $0 }
      i &+= T.Lanes.scalarCount
    }
  }
}

/// Adds to as many sums as there are lanes, of which some may belong to what lies behind: they get 0.
@inline(__always)
private func add<T: Scalar>(
  _: T.Type, _ x: T.Lanes, to sums: UnsafeMutablePointer<Double>,
  _ body: (Double.Lanes) -> Double.Lanes
) {
  T.widen(x) {
    let at = sums + $1 &* Double.Lanes.scalarCount
    storeLanes(loadLanes(at) + body($0), at)
  }
}

/// out = (x - shift) scale, by row.
@inline(never)
func changeRows<T: Scalar>(_: T.Type, _ call: UnsafePointer<ravine_unit_call>) {
  let x = call.pointee.x.assumingMemoryBound(to: T.self)
  let out = call.pointee.out.assumingMemoryBound(to: T.self)
  let shift = call.pointee.shift.assumingMemoryBound(to: T.self)
  let scale = call.pointee.scale.assumingMemoryBound(to: T.self)
  eachPiece(call) { row, _, start, length in
    let a = shift[row], b = scale[row]
    var i = 0
    while i < length {
      let g: T.Lanes = loadLanes(x + (start &+ i))
      let new = (g - a) * b
      storeLanes(T.splice(new, first: length &- i, then: g), out + (start &+ i))
      i &+= T.Lanes.scalarCount
    }
  }
}

/// out = (x - shift) scale, by column.
@inline(never)
func changeColumns<T: Scalar>(_: T.Type, _ call: UnsafePointer<ravine_unit_call>) {
  let x = call.pointee.x.assumingMemoryBound(to: T.self)
  let out = call.pointee.out.assumingMemoryBound(to: T.self)
  let shift = call.pointee.shift.assumingMemoryBound(to: T.self)
  let scale = call.pointee.scale.assumingMemoryBound(to: T.self)
  eachPiece(call) { _, column, start, length in
    var i = 0
    while i < length {
      let g: T.Lanes = loadLanes(x + (start &+ i))
      let new = (g - loadLanes(shift + (column &+ i))) * loadLanes(scale + (column &+ i))
      storeLanes(T.splice(new, first: length &- i, then: g), out + (start &+ i))
      i &+= T.Lanes.scalarCount
    }
  }
}
