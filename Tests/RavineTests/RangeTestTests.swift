import Testing

@testable import Kernels
@testable import Ravine

/// What three methods make of a loss curve.
struct RangeTestTests {
  private func suggest(_ losses: [Double]) -> (Suggestion, Suggestion, Suggestion) {
    let rates = losses.indices.map { Math.exp(Double($0)) }
    var lengths = [Int](repeating: 0, count: losses.count + 1)
    return rates.withUnsafeBufferPointer { rates in
      losses.withUnsafeBufferPointer { losses in
        lengths.withUnsafeMutableBufferPointer { lengths in
          guard let rate = rates.baseAddress, let loss = losses.baseAddress else {
            return (Suggestion(), Suggestion(), Suggestion())
          }
          let curve = LossCurve(rate, loss, losses.count)
          return (curve.steepest, curve.valley(lengths.baseAddress!), curve.minimum)
        }
      }
    }
  }

  /// Which steps a suggestion and its interval are at.
  private func places(_ s: Suggestion) -> [Double] {
    [s.rate, s.low, s.high].map { Math.log($0).rounded() }
  }

  @Test func steepestIsWhereItFallsFastest() {
    #expect(places(suggest([9, 9, 8, 5, 2, 1, 1]).0) == [2, 2, 4])
    #expect(places(suggest([9, 8, 6, 2, 0, 0]).0) == [2, 1, 4])
    #expect(places(suggest([2, 1]).0) == [0, 0, 1])
    #expect(suggest([1, 1, 1]).0.rate.isNaN && suggest([1, 2]).0.low.isNaN)
    #expect(suggest([1]).0.rate.isNaN)
  }

  @Test func valleyIsTheLongestFall() {
    #expect(places(suggest([5, 9, 8, 7, 6, 5, 4, 8, 9]).1) == [3, 0, 6])
    #expect(places(suggest([6, 5, 4, 3, 2, 1]).1) == [2, 0, 5])
    #expect(places(suggest([3, 9, 2, 8, 1, 7]).1) == [2, 1, 4])
    #expect(places(suggest([3, 2, 1]).1) == [0, 0, 2])
    #expect(suggest([2, 1, 1, 1]).1.rate.isNaN && suggest([1, 2, 3]).1.high.isNaN)
  }

  @Test func minimumIsATenthOfTheLeast() {
    let found = suggest([10, 10, 8, 4, 0, 3]).2
    #expect(abs(found.rate / Math.exp(4) - 0.1) < 1e-15)
    #expect(found.high == Math.exp(4) && found.low == found.rate)  // e^2 is more
    let slow = suggest([10, 8, 6, 4, 2, 0, 3]).2
    #expect(slow.low == Math.exp(1) && slow.rate > slow.low)
    #expect(suggest([1, 2, 3]).2.rate.isNaN && suggest([1]).2.low.isNaN)
  }
}
