/// A keyed permutation of 0..<count, evaluated at any position: an order that costs no memory.
///
/// A Feistel network on a rectangle (Black and Rogaway, "Ciphers with arbitrary finite domains",
/// 2002): a number is a row and a column, and each round turns one of the two by a random amount
/// that depends on the other. The columns are a power of two near the square root of count; where
/// the last row sticks out, a number that lands there goes round again, less than once on average.
///
/// What it is: over keys, every item is at every position equally often, and orders of few items
/// pass a chi-square test over all of them. What it is not: a cipher, or a draw from all count!
/// orders, of which 2^64 keys reach at most 2^64.
public struct Permutation: Sendable {
  public let count: UInt64
  private let random: Philox
  private let columnBits, rows: UInt64
  /// A small rectangle needs more rounds until all orders are equally likely.
  private let rounds: UInt64

  /// count is at most 2^62.
  public init(_ count: UInt64, _ random: Philox) {
    self.count = count
    self.random = random
    columnBits = UInt64(UInt64.bitWidth - count.leadingZeroBitCount) / 2
    rows = (count &+ (1 << columnBits) &- 1) >> columnBits
    rounds = count <= 1024 ? 24 : 12
  }

  /// The item at a position below count.
  public subscript(_ position: UInt64) -> UInt64 {
    let mask = (1 as UInt64) << columnBits &- 1
    var number = position
    repeat {
      var column = number & mask, row = number >> columnBits, round: UInt64 = 0
      while round < rounds {
        column = (column &+ random.block(row, round).low) & mask
        // A bias below 2^-32: rows are fewer than 2^32, and the random number has 64 bits.
        row = row &+ random.block(column, round &+ 1).low.multipliedFullWidth(by: rows).high
        if row >= rows { row = row &- rows }
        round = round &+ 2
      }
      number = row << columnBits | column
    } while number >= count
    return number
  }
}
