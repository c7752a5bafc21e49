import CShims
import Kernels

/// A matrix in memory: element (i, j) lies i rowStride + j columnStride elements behind the first.
struct Matrix: BitwiseCopyable {
  let base: UnsafeRawPointer
  let rowStride, columnStride: Int

  /// In row-major order, without gaps.
  init(_ base: UnsafeRawPointer, columns: Int) {
    self.init(base, rowStride: columns, columnStride: 1)
  }

  init(_ base: UnsafeRawPointer, rowStride: Int, columnStride: Int) {
    (self.base, self.rowStride, self.columnStride) = (base, rowStride, columnStride)
  }

  var transposed: Matrix { Matrix(base, rowStride: columnStride, columnStride: rowStride) }
}

/// c = alpha a b + beta d, cut into items of work that threads take in any order.
///
/// The same bytes for every instruction set, thread count and block size but `depthOfPart`: of each
/// element the products of 256 steps are added up one after the other, times alpha, plus beta d; then
/// those of the next 256 times alpha are added to that, and so on. Nothing is fused.
struct MatrixProduct: BitwiseCopyable {
  /// Three phases, one after the other; the items of each are independent.
  static let phases = 3

  /// Steps of a sum; part of what the result is.
  static let depthOfPart = 256
  /// What an item computes: rows that a tile's divide, and columns that stay in a cache with them.
  private static let rowsOfItem = 96, bytesOfItem = 2048

  let rows, columns, depth: Int
  /// 1 for Double, 0 for Float.
  let wide: Int
  let alpha, beta: Double
  /// Whether the result is known to be symmetric: then the upper half is copied from the lower one,
  /// which has the same bytes.
  let symmetric: Bool
  let a, b: Matrix
  /// Row-major, without gaps; d may be c, and is not read where beta is 0.
  let d: UnsafeRawPointer
  let c: UnsafeMutableRawPointer
  /// As many bytes as `workspace` says.
  let workspace: UnsafeMutableRawPointer
  let kernels: ravine_kernels

  private var size: Int { 4 << wide }
  private var panel: Int { MatrixProduct.panel(kernels, wide) }
  private var paddedColumns: Int { (columns + panel - 1) / panel * panel }
  private var columnsOfItem: Int { MatrixProduct.bytesOfItem / size }

  private static func panel(_ kernels: ravine_kernels, _ wide: Int) -> Int {
    wide == 1 ? kernels.tile_columns.1 : kernels.tile_columns.0
  }

  /// Bytes that a product of this size needs beside its matrices: the packed right matrix, and for
  /// each worker some packed rows of the left one and a tile.
  @inline(never)
  static func workspace(
    columns: Int, depth: Int, wide: Int, threads: Int, _ kernels: ravine_kernels
  ) -> Int {
    let panel = panel(kernels, wide), size = 4 << wide
    return (columns + panel - 1) / panel * panel * depth * size
      + threads * sizeOfWorker(wide, kernels)
  }

  private static func sizeOfWorker(_ wide: Int, _ kernels: ravine_kernels) -> Int {
    (rowsOfItem * depthOfPart + kernels.tile_rows * panel(kernels, wide)) * (4 << wide)
  }

  func items(_ phase: Int) -> Int {
    let blocks = (rows + MatrixProduct.rowsOfItem - 1) / MatrixProduct.rowsOfItem
    switch phase {
    case 0: return paddedColumns / panel
    case 1: return blocks * ((columns + columnsOfItem - 1) / columnsOfItem)
    default: return symmetric ? blocks : 0
    }
  }

  func run(_ phase: Int, _ item: Int, _ worker: Int) {
    switch phase {
    case 0: packRight(item)
    case 1: multiply(item, worker)
    default: mirror(item)
    }
  }

  /// All of it, by the host's product for floats if it has one. The bytes of what it uses are the
  /// caller's: nothing is allocated.
  func run(threads: Int, _ options: Options) throws(RavineError) {
    if wide == 0, let host = options.product { return try run(host, options.productUser) }
    for phase in 0..<MatrixProduct.phases {
      var work = (self, phase)
      try forEach(items(phase), threads: threads, options, &work) { context, item, worker in
        let work = context.assumingMemoryBound(to: (MatrixProduct, Int).self)
        work.pointee.0.run(work.pointee.1, item, worker)
      }
    }
  }

  /// Panel after panel of columns within each part of the depth.
  private func packRight(_ item: Int) {
    let j = item * panel
    eachPart { first, depth in
      pack(
        b.transposed, j, min(panel, columns - j), first, depth, panel,
        workspace + (first * paddedColumns + j * depth) * size)
    }
  }

  private func multiply(_ item: Int, _ worker: Int) {
    let blocks = (rows + MatrixProduct.rowsOfItem - 1) / MatrixProduct.rowsOfItem
    let i = item % blocks * MatrixProduct.rowsOfItem, j = item / blocks * columnsOfItem
    let m = min(MatrixProduct.rowsOfItem, rows - i)
    let n = min(columnsOfItem, (symmetric ? i + m : columns) - j)
    if n <= 0 { return }
    let own =
      workspace + paddedColumns * depth * size + worker * MatrixProduct.sizeOfWorker(wide, kernels)
    let edge = own + MatrixProduct.rowsOfItem * MatrixProduct.depthOfPart * size
    let out = c + (i * columns + j) * size
    eachPart { first, depth in
      for r in stride(from: 0, to: m, by: kernels.tile_rows) {
        pack(
          a, i + r, min(kernels.tile_rows, m - r), first, depth, kernels.tile_rows,
          own + r * depth * size)
      }
      var call = ravine_product_call(
        a: own, b: workspace + (first * paddedColumns + j * depth) * size, depth: depth, rows: m,
        columns: n, alpha: alpha, beta: first == 0 ? beta : 1,
        d: first == 0 ? d + (i * columns + j) * size : UnsafeRawPointer(out), c: out,
        stride: columns, edge: edge)
      (wide == 1 ? kernels.product.1 : kernels.product.0).unsafelyUnwrapped(&call)
    }
  }

  /// `body` for each part of the depth: where it begins, and how long it is. A product of no depth
  /// has one empty part, which leaves beta d.
  private func eachPart(_ body: (Int, Int) -> Void) {
    var first = 0
    repeat {
      body(first, min(MatrixProduct.depthOfPart, depth - first))
      first += MatrixProduct.depthOfPart
    } while first < depth
  }

  private func pack(
    _ from: Matrix, _ row: Int, _ valid: Int, _ first: Int, _ depth: Int, _ width: Int,
    _ to: UnsafeMutableRawPointer
  ) {
    let start = from.base + (row * from.rowStride + first * from.columnStride) * size
    var call = ravine_pack_call(
      from: start, to: to, minor: from.rowStride, major: from.columnStride, valid: valid,
      width: width, depth: depth)
    (wide == 1 ? kernels.pack.1 : kernels.pack.0).unsafelyUnwrapped(&call)
  }

  private func mirror(_ item: Int) {
    let first = item * MatrixProduct.rowsOfItem
    if wide == 1 { mirror(Double.self, first) } else { mirror(Float.self, first) }
  }

  private func mirror<T>(_: T.Type, _ first: Int) {
    let c = c.assumingMemoryBound(to: T.self)
    for i in first..<min(first + MatrixProduct.rowsOfItem, rows) {
      for j in i + 1..<max(i + 1, columns) { c[i * columns + j] = c[j * columns + i] }
    }
  }
}
